//! What an idle connection costs, as far as the compiler knows it (design 2.5).

use std::mem::size_of;

use super::*;
use crate::connection::{Seat, Seated};

/// tokio adds 96 bytes to a task and rounds it up to a multiple of 128. Mutant: 24 bytes
/// more in `Deadlines`.
#[test]
fn task_of_a_connection_fits_into_three_cache_line_pairs() {
    let task = 96 + size_of::<Seated<Connection<TcpStream>, Seat>>();
    assert!(task <= 384, "{task} bytes");
}
