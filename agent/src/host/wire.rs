//! TCP, as far as the agent speaks it itself: whether somebody is there, a question and its answer.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::error::Error;

/// How long anybody is waited for, each time.
const LIMIT: Duration = Duration::from_secs(5);
/// How much of an answer is heard, in bytes.
const MOST_BYTES: u64 = 64 << 10;

/// Connects, and hangs up.
pub(super) fn reach(to: SocketAddr) -> Result<(), Error> {
    connect(to).map(|_| ()).map_err(|source| Error::Reach { to, source })
}

/// Asks, and hears what comes back.
pub(super) fn converse(to: SocketAddr, words: &[u8]) -> Result<Vec<u8>, Error> {
    exchange(to, words).map_err(|source| Error::Reach { to, source })
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn exchange(to: SocketAddr, words: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(to)?;
    // Not closed in this direction: squid and nginx take that for a client that is gone, and do not answer.
    stream.write_all(words)?;
    let mut heard = Vec::new();
    match stream.take(MOST_BYTES).read_to_end(&mut heard) {
        Ok(_) => Ok(heard),
        Err(_) if !heard.is_empty() => Ok(heard),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_heard_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 3];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(&[&asked[..], b"?"].concat()).unwrap();
        });
        assert_eq!(converse(to, b"who").unwrap(), b"who?");
        other.join().unwrap();
        let error = reach(to).unwrap_err();
        assert!(error.to_string().contains(&format!("{to}: connection refused")), "{error}");
    }
}
