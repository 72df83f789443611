//! A broker as a child process, and what it costs.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Which broker.
#[derive(Clone, Copy)]
pub enum Kind {
    Fe2o3,
    TernMq,
}

/// A running broker. Dropping it kills it.
pub struct Broker {
    child: Child,
    pub port: u16,
    /// Where its data is.
    folder: String,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fe2o3 => "fe2o3-amqp",
            Self::TernMq => "TernMQ",
        }
    }
}

impl Broker {
    /// Starts one and waits until it listens.
    pub fn start(kind: Kind, ternmq: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let folder = format!("{}/card-{port}", std::env::temp_dir().display());
        fs::create_dir_all(&folder).expect("a folder");
        let mut command = match kind {
            Kind::Fe2o3 => {
                let own = std::env::current_exe().expect("this program");
                let mut command = Command::new(own);
                command.args(["amqp-broker", &port.to_string()]);
                command
            }
            Kind::TernMq => {
                let text = format!(
                    "[storage]\ndata_dir = \"{folder}/data\"\n[listeners.amqp]\nbind = \"127.0.0.1:{port}\"\n\
                     protocols = [\"amqp\"]\n"
                );
                fs::write(format!("{folder}/ternmq.toml"), text).expect("a configuration");
                let mut command = Command::new(ternmq);
                command.args(["serve", "--config", &format!("{folder}/ternmq.toml")]);
                command
            }
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let broker = Self {
            child: child.expect("a broker"),
            port,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{} does not start", kind.name());
            thread::sleep(Duration::from_millis(10));
        }
        broker
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU time that all its threads have used, in ticks of 10 ms each.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        // The name in parentheses may hold spaces; the 12th and 13th behind it are the times.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
