//! Which messages of a run something still refers to, for runs that lose theirs piece by piece.

use crate::message::Run;

/// How often each message of a run is referred to.
#[derive(Debug)]
pub(crate) struct Parts {
    /// By index within the run. One that has reached [`STUCK`] stays there, and so does its message.
    each: Box<[u16]>,
    /// Bytes of the messages that are referred to.
    kept: usize,
}

const STUCK: u16 = u16::MAX;

impl Parts {
    /// Every message of `run` is referred to `times` times.
    pub(crate) fn new(run: &Run, times: u64) -> Self {
        let times = u16::try_from(times).unwrap_or(STUCK);
        Self {
            each: vec![times; run.count() as usize].into(),
            kept: if times == 0 { 0 } else { run.block().len() },
        }
    }

    /// One reference more to `n` messages from `first` on.
    pub(crate) fn add(&mut self, run: &Run, first: u32, n: u32) {
        for (index, times) in (first..).zip(range(&mut self.each, first, n)) {
            let is_new = *times == 0;
            *times = times.saturating_add(1);
            if is_new {
                self.kept += run.size(index, 1);
            }
        }
    }

    /// One reference less.
    pub(crate) fn remove(&mut self, run: &Run, first: u32, n: u32) {
        for (index, times) in (first..).zip(range(&mut self.each, first, n)) {
            let was_last = *times == 1;
            if *times != STUCK {
                *times = times.saturating_sub(1);
            }
            if was_last {
                self.kept -= run.size(index, 1);
            }
        }
    }

    /// Whether something refers to a message.
    pub(crate) fn holds(&self, index: u32) -> bool {
        self.each
            .get(index as usize)
            .is_some_and(|times| *times > 0)
    }

    /// Bytes of the messages that are referred to.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// References by message.
    #[cfg(test)]
    pub(crate) fn each(&self) -> &[u16] {
        &self.each
    }

    /// All messages are referred to equally often.
    pub(crate) fn are_alike(&self) -> bool {
        let first = self.each.first();
        self.each
            .iter()
            .all(|times| Some(times) == first && *times != STUCK)
    }
}

fn range(each: &mut [u16], first: u32, n: u32) -> impl Iterator<Item = &mut u16> {
    each.iter_mut().skip(first as usize).take(n as usize)
}
