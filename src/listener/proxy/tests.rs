use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::config::Protocols;

/// A header of version 2: version and command, family and protocol, the rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn v2_ipv4(tlvs: &[u8]) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0xC8, 0x22, 0x07, 0x5B];
    v2(0x21, 0x11, &[&addresses, tlvs].concat())
}

fn v2_ipv6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let target = Ipv6Addr::LOCALHOST.octets();
    let ports = [0xC8, 0x22, 0x07, 0x5B];
    v2(
        0x21,
        0x21,
        &[&source.octets()[..], &target, &ports].concat(),
    )
}

/// Headers, with the client each of them names.
fn valid() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let v1 = |line: &str| format!("PROXY {line}\r\n").into_bytes();
    let longest = "TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535";
    let longest_client = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let ipv4 = Some("203.0.113.7:51234");
    let ipv6 = Some("[2001:db8::7]:51234");
    let big_tlv = [&[0xE0, 0x0F, 0x00][..], &[7; 3_840]].concat();
    vec![
        ("v1 IPv4", v1("TCP4 203.0.113.7 10.0.0.1 51234 1883"), ipv4),
        ("v1 IPv6", v1("TCP6 2001:db8::7 ::1 51234 1883"), ipv6),
        ("v1 longest", v1(longest), Some(longest_client)),
        ("v1 UNKNOWN", v1("UNKNOWN"), None),
        (
            "v1 UNKNOWN with more",
            v1("UNKNOWN ffff::1 ffff::2 1 2"),
            None,
        ),
        ("v2 IPv4", v2_ipv4(&[]), ipv4),
        ("v2 IPv6", v2_ipv6(), ipv6),
        ("v2 with TLVs", v2_ipv4(b"\x04\0\x03abc\xEA\0\x01x"), ipv4),
        ("v2 with a large TLV", v2_ipv4(&big_tlv), ipv4),
        ("v2 Unix", v2(0x21, 0x31, &[b'/'; 216]), None),
        ("v2 UNSPEC", v2(0x21, 0x00, &[]), None),
        ("v2 LOCAL", v2(0x20, 0x00, &[]), None),
        (
            "v2 LOCAL, addresses to ignore",
            v2(0x20, 0x11, &[1; 12]),
            None,
        ),
        ("v2 LOCAL, cut addresses", v2(0x20, 0x21, &[1; 3]), None),
    ]
}

/// Mutant seen caught: LOCAL left to the library.
#[test]
fn headers_name_their_client_wherever_they_are_cut() {
    for (what, bytes, client) in valid() {
        let client = client.map(|text| text.parse().unwrap());
        let header = Header {
            client,
            length: bytes.len(),
        };
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{what} cut at {cut}");
        }
        assert_eq!(parse(&bytes), Ok(Some(header)), "{what}");
        let behind = [&bytes[..], b"\x10\x0d\r\nPROXY "].concat();
        assert_eq!(parse(&behind), Ok(Some(header)), "{what} with more behind");
    }
}

#[test]
fn what_is_no_header_is_refused_with_its_reason() {
    use ProxyFault::{Malformed, Missing, TooLong};
    let wrong_version = v2(0x11, 0x11, &[1; 12]);
    let wrong_command = v2(0x22, 0x11, &[1; 12]);
    let too_long = [SIGNATURE, &[0x21, 0x11], &4_081_u16.to_be_bytes()].concat();
    let rows: [(&[u8], ProxyFault); 20] = [
        (b"\x10", Missing),
        (b"CONNECT\n", Missing),
        (b"GET / HTTP/1.1\r\n", Missing),
        (b"\r\n\r\n\0\r\nQUIX", Missing),
        (b"PROXX", Missing),
        (b"PROXY\tTCP4", Missing),
        (b"\n", Missing),
        (b"PROXY \r\n", Malformed),
        (b"PROXY TCP4\r\n", Malformed),
        (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Malformed),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", Malformed),
        (b"PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n", Malformed),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Malformed),
        (b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", Malformed),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", Malformed),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Malformed),
        (&[&b"PROXY "[..], &[b'x'; 101]].concat(), TooLong),
        (&wrong_version, Malformed),
        (&wrong_command, Malformed),
        (&too_long, TooLong),
    ];
    for (bytes, fault) in rows {
        assert_eq!(parse(bytes), Err(fault), "{}", bytes.escape_ascii());
    }
    for (command, family, rest) in [(0x21, 0x11, 11), (0x21, 0x21, 35), (0x21, 0x31, 215)] {
        let short = v2(command, family, &vec![0; rest]);
        assert_eq!(parse(&short), Err(Malformed), "{family:x} with {rest}");
        // Not by what follows the header.
        let more = [&short[..], &[0; 300]].concat();
        assert_eq!(parse(&more), Err(Malformed), "{family:x} with {rest}");
    }
}

#[test]
fn only_named_proxies_are_trusted() {
    let listener = |proxy_protocol, from: &[&str]| Listener {
        bind: "127.0.0.1:0".parse().unwrap(),
        protocols: Protocols::Auto,
        proxy_protocol,
        proxy_from: from.iter().map(|text| text.parse().unwrap()).collect(),
    };
    assert!(Proxies::of(&listener(ProxyProtocol::Off, &[])).is_none());
    let trusts = |from: &[&str], ip: &str| {
        let proxies = Proxies::of(&listener(ProxyProtocol::Required, from)).unwrap();
        proxies.trusts(SocketAddr::new(ip.parse().unwrap(), 1))
    };
    assert!(trusts(&[], "203.0.113.7"));
    let from = ["10.0.0.0/8", "2001:db8::/32"];
    assert!(trusts(&from, "10.255.0.1"));
    assert!(trusts(&from, "::ffff:10.255.0.1"));
    assert!(trusts(&from, "2001:db8:1::1"));
    assert!(!trusts(&from, "11.0.0.1"));
    assert!(!trusts(&from, "::1"));
}

proptest! {
    /// Whatever comes: no panic, an end within the ceiling, and the same verdict when more follows.
    #[test]
    fn verdicts_are_final_and_come_in_time(
        begin in 0..4_usize,
        middle in proptest::collection::vec(any::<u8>(), 0..24),
        fill in any::<u8>(),
    ) {
        let begin = [&b""[..], b"PROXY ", b"PROXY TCP4 ", SIGNATURE][begin];
        let mut bytes = [begin, &middle[..]].concat();
        let first = parse(&bytes);
        bytes.resize(MAX_BYTES, fill);
        let last = parse(&bytes);
        match first {
            Ok(None) => prop_assert!(last != Ok(None)),
            decided => prop_assert_eq!(last, decided),
        }
        if let Ok(Some(header)) = last {
            prop_assert!(header.length <= MAX_BYTES);
        }
    }

    /// Against a header made from parts, by another hand than the parser's.
    #[test]
    fn any_address_comes_through(
        octets in any::<[u8; 16]>(),
        port in any::<u16>(),
        short in any::<bool>(),
        tlvs in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut four = [0; 4];
        four.copy_from_slice(&octets[..4]);
        let (ip, word, family, width) = if short {
            (IpAddr::from(Ipv4Addr::from(four)), "TCP4", 0x11, 4)
        } else {
            (IpAddr::from(Ipv6Addr::from(octets)), "TCP6", 0x21, 16)
        };
        let client = Some(SocketAddr::new(ip, port));
        let line = format!("PROXY {word} {ip} {ip} {port} 1\r\n");
        prop_assert_eq!(parse(line.as_bytes()).unwrap().unwrap().client, client);
        let ports = [port.to_be_bytes(), [0, 1]].concat();
        let rest = [&octets[..width], &octets[..width], &ports, &tlvs].concat();
        prop_assert_eq!(parse(&v2(0x21, family, &rest)).unwrap().unwrap().client, client);
    }
}
