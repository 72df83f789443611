//! First come, first served among the connections of a worker thread.
//!
//! tokio runs the task that was woken last before those that were woken earlier. When the sockets of
//! several clients become readable between two looks at them, the last one would be served first: a
//! PUBLISH before the SUBSCRIBE that the same program had sent on another connection. So a worker
//! counts its wake-ups, and the first connection that it polls after several of them goes to the end
//! of the line, once. No order is promised between connections that different workers serve.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    /// Wake-ups by this thread since it last polled a connection.
    static WOKEN: Cell<u32> = const { Cell::new(0) };
}

/// A task's waker that counts.
struct Bell {
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        WOKEN.set(WOKEN.get().saturating_add(1));
        self.task.wake_by_ref();
    }
}

/// The waker to be given to whatever may wake the task of `context`.
pub(super) fn bell(context: &Context<'_>) -> Waker {
    let task = context.waker().clone();
    Waker::from(Arc::new(Bell { task }))
}

/// Pending, with the task at the end of the line, if others were woken before it. Whoever gave way
/// last time does not do it again: busy connections also wake themselves, and would keep it waiting.
pub(super) fn poll_turn(context: &Context<'_>, gave_way: &mut bool) -> Poll<()> {
    *gave_way = WOKEN.replace(0) > 1 && !*gave_way;
    if !*gave_way {
        return Poll::Ready(());
    }
    context.waker().wake_by_ref();
    Poll::Pending
}
