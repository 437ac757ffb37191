//! `await`: the sidecar's postStart hook. The kubelet starts nothing else of the pod until a hook has returned, so
//! this is what makes the application wait for its proxy. A startup probe would do the same a second later: its first
//! try comes before the container runs, and its success is acted upon at the kubelet's next look at the node.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli;
use crate::config::ADMIN_PORT;

/// How long to wait before saying why: the kubelet then writes an Event with our line, and starts the proxy again.
const PATIENCE: Duration = Duration::from_mins(1);
/// The first pause; a proxy is ready some milliseconds after its start.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest pause: a tenth of a second is little to somebody who waited for an issuer.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How long one answer may take; the proxy answers in less than a millisecond.
const ANSWER: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read: status line, headers and a sentence.
const MOST_ANSWER: u64 = 2048;

/// Waits until the proxy in this container is ready.
pub fn main() -> ExitCode {
    match wait(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)), PATIENCE) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => cli::fail(1, &[why]),
    }
}

/// Asks `/ready` at `address` until it says yes. The error is a sentence with the last answer.
pub fn wait(address: SocketAddr, patience: Duration) -> Result<(), String> {
    let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        let why = match ask(address) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => return Ok(()),
            Ok(answer) => answer.split("\r\n\r\n").nth(1).unwrap_or("it sent no HTTP answer").trim().to_owned(),
            Err(error) => format!("it does not answer: {error}"),
        };
        if started.elapsed() + pause > patience {
            return Err(format!("the proxy is not ready after {} s: {why}", patience.as_secs()));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one a connection.
    fn answering(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for answer in answers {
                let mut stream = listener.accept().unwrap().0;
                let mut request = [0; 512];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn a_ready_proxy_is_not_waited_for() {
        let address = answering(&["HTTP/1.1 200 OK\r\n\r\nready\n"]);
        assert_eq!(wait(address, Duration::from_secs(5)), Ok(()));
    }

    #[test]
    fn a_proxy_that_becomes_ready_is_waited_for() {
        let address = answering(&["HTTP/1.1 503 X\r\n\r\nstarting\n", "", "HTTP/1.1 200 OK\r\n\r\n"]);
        assert_eq!(wait(address, Duration::from_secs(5)), Ok(()));
    }

    #[test]
    fn the_last_answer_is_told() {
        let address = answering(&["HTTP/1.1 503 X\r\n\r\nwaiting for a certificate\n"; 8]);
        let why = wait(address, Duration::from_millis(20)).unwrap_err();
        assert!(why.contains("waiting for a certificate"), "{why}");
    }

    #[test]
    fn a_proxy_that_is_not_there_is_told() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(wait(nobody, Duration::from_millis(20)).unwrap_err().contains("does not answer"));
    }
}
