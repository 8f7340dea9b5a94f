//! Checks whether the ports of licence servers answer, with a TCP connection and a time limit.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::token::{Server, host};

/// The time limit for everything together. Looking up a host's name can take long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most ports that are asked. No licence server has as many, but a token could name thousands.
const MOST: usize = 16;

/// Whether a port of a licence server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// As in the token.
    pub server: String,
    pub port: u16,
    pub answers: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Connects to all ports of these servers at once, and closes the connections.
pub fn ask(servers: &[Server]) -> Vec<Answer> {
    let ports = servers.iter().flat_map(|server| server.ports.iter().map(move |port| (server.url.clone(), *port)));
    let end = Instant::now() + PATIENCE;
    let asked: Vec<_> = ports
        .take(MOST)
        .map(|(url, port)| {
            let (send, receive) = mpsc::channel();
            let name = host(&url).to_owned();
            // A thread of its own, because looking up a name cannot be stopped. It ends with the program.
            let answer = send.clone();
            if let Err(error) = thread::Builder::new().spawn(move || answer.send(connect(&name, port))) {
                let _ = send.send(Err(Unreached::NoThread(error)));
            }
            (url, port, receive)
        })
        .collect();
    let wait = |receive: mpsc::Receiver<Result<(), Unreached>>| {
        let left = end.saturating_duration_since(Instant::now());
        receive.recv_timeout(left).unwrap_or(Err(Unreached::NoAnswer))
    };
    asked
        .into_iter()
        .map(|(server, port, receive)| {
            let reason = wait(receive).err().map(|error| error.to_string());
            Answer { server, port, answers: reason.is_none(), reason }
        })
        .collect()
}

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    NoAnswer,
    #[error("no thread can be started to ask it: {0}")]
    NoThread(std::io::Error),
    #[error("its name has no address")]
    NoAddress,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn connect(host: &str, port: u16) -> Result<(), Unreached> {
    let addresses = (host, port).to_socket_addrs()?;
    let mut reason = Unreached::NoAddress;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => reason = error.into(),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_that_answer_are_told_from_those_that_do_not() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let open_port = open.local_addr().unwrap().port();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = |url: &str, ports: &[u16]| Server { url: url.to_owned(), ports: ports.to_vec() };
        let answers = ask(&[
            server("https://127.0.0.1/", &[open_port, closed]),
            // No name in the reserved domain has an address (RFC 6761).
            server("licences.invalid", &[443]),
        ]);
        let told: Vec<_> = answers.iter().map(|answer| (answer.port, answer.answers)).collect();
        assert_eq!(told, [(open_port, true), (closed, false), (443, false)]);
        assert!(answers[1].reason.as_ref().unwrap().contains("refused"), "{answers:?}");
        assert!(answers[2].reason.is_some());
    }

    #[test]
    fn a_token_with_thousands_of_ports_asks_few() {
        let server = Server { url: "127.0.0.1".to_owned(), ports: (1..5000).collect() };
        assert_eq!(ask(&[server]).len(), MOST);
    }
}
