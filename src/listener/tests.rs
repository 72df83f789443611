use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::listen;

/// Mutant seen caught: no options on the listening socket.
#[tokio::test]
async fn an_accepted_socket_has_the_options_of_the_listening_one() {
    let (listening, address) = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listening.accept());
    let (accepted, _) = accepted.unwrap();
    assert!(accepted.nodelay().unwrap());
    let accepted = SockRef::from(&accepted);
    assert!(accepted.keepalive().unwrap());
    assert_eq!(
        accepted.tcp_keepalive_time().unwrap(),
        Duration::from_secs(60)
    );
    assert_eq!(
        accepted.tcp_keepalive_interval().unwrap(),
        Duration::from_secs(15)
    );
    assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
    // The defaults of the system are others.
    assert!(!client.unwrap().nodelay().unwrap());
}
