//! placeholder until the rest branch lands
use std::borrow::Cow;
use ternmq_core::message::Run;
/// View.
pub struct View<'a> {
    /// Body.
    pub body: Cow<'a, [u8]>,
}
/// View of a message.
pub fn view(run: &Run, index: u32) -> View<'_> {
    View {
        body: Cow::Borrowed(run.message(index)),
    }
}
