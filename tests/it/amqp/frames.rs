//! Rules 8 and 11: what is a frame.

use super::*;

#[test]
fn r8_what_is_no_frame_ends_the_connection() {
    let process = server("");
    let heads: [&[u8]; 13] = [
        &[0, 0, 0, 0, 2, 0, 0, 0],
        &[0, 0, 0, 1, 2, 0, 0, 0],
        &[0, 0, 0, 5, 2, 0, 0, 0],
        &[0, 0, 0, 6, 2, 0, 0, 0],
        &[0, 0, 0, 7, 2, 0, 0, 0],
        // Data offsets.
        &[0, 0, 0, 8, 0, 0, 0, 0],
        &[0, 0, 0, 8, 1, 0, 0, 0],
        &[0, 0, 0, 8, 3, 0, 0, 0],
        &[0, 0, 0, 16, 5, 0, 0, 0],
        // Types.
        &[0, 0, 0, 8, 2, 1, 0, 0],
        &[0, 0, 0, 8, 2, 2, 0, 0],
        // Sizes.
        &[0, 2, 0, 1, 2, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0],
    ];
    for head in heads {
        let mut client = begun(&process);
        let mut bytes = head.to_vec();
        bytes.extend([0; 8]);
        client.bytes(&bytes);
        client.closed_for("amqp:connection:framing-error");
    }
}

#[test]
fn r8_extended_headers_are_skipped() {
    let process = server("");
    let mut client = begun(&process);
    let body = amqp::encoded(amqp::sender("s", 0, "extended"));
    let mut frame = amqp::frame(0, 0, b"anything", &body);
    frame[4] = 4;
    client.bytes(&frame);
    client.expect("attach");
}

#[test]
fn r8_the_largest_frame_is_taken() {
    let process = server("");
    let (mut client, answer) = Amqp::open(process.tcp("amqp"), "it");
    let max = usize::try_from(answer.number("max-frame-size")).unwrap();
    client.begin(0);
    client.sender("s", 0, "largest");
    let head = amqp::encoded(amqp::first(0, 0));
    let message = |frame: usize| {
        let around = 8 + head.len() + amqp::message(true, b"").len();
        amqp::message(true, &vec![b'x'; frame - around])
    };
    client.send(0, 0, &message(max));
    client.outcome(0, 0, "accepted");
    client.send(0, 1, &message(max + 1));
    client.closed_for("amqp:connection:framing-error");
}

#[test]
fn r11_empty_frames_are_welcome_everywhere() {
    let process = server("");
    let mut client = raw(&process);
    client.bytes(&amqp::AMQP);
    let empty = |channel| amqp::frame(0, channel, &[], &[]);
    client.bytes(&empty(0));
    client.say(0, open());
    client.bytes(&empty(40_000));
    client.bytes(&empty(0));
    client.begin_after_open();
    client.sender("s", 0, "between");
    let half = amqp::first(0, 0).with("more", true);
    client.transfer(half, &amqp::message(true, b"ha"));
    client.bytes(&empty(0));
    client.send(0, 0, b"");
    client.outcome(0, 0, "accepted");
}

impl Amqp {
    fn begin_after_open(&mut self) {
        assert_eq!(self.header(), amqp::AMQP);
        self.expect("open");
        self.begin(0);
    }
}
