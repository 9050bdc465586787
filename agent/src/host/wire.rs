//! TCP, as far as the agent speaks it itself: whether somebody is there, a question and its answer.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::error::Error;

/// How long anybody is waited for, each time.
const LIMIT: Duration = Duration::from_secs(5);
/// How long an answer may take as a whole: one byte every few seconds would take days.
const WHOLE: Duration = Duration::from_secs(30);
/// How much of an answer is heard, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// Connects, and hangs up.
pub(super) fn reach(to: SocketAddr) -> Result<(), Error> {
    connect(to).map(|_| ()).map_err(|source| Error::Reach { to, source })
}

/// Asks, and hears what comes back.
pub(super) fn converse(to: SocketAddr, words: &[u8]) -> Result<Vec<u8>, Error> {
    exchange(to, words, WHOLE).map_err(|source| Error::Reach { to, source })
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn exchange(to: SocketAddr, words: &[u8], whole: Duration) -> io::Result<Vec<u8>> {
    let begun = Instant::now();
    let mut stream = connect(to)?;
    // Not closed in this direction: squid and nginx take that for a client that is gone, and do not answer.
    stream.write_all(words)?;
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    while heard.len() < MOST_BYTES {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => heard.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if !heard.is_empty() => break,
            Err(error) => return Err(error),
        }
        if begun.elapsed() >= whole {
            break;
        }
    }
    heard.truncate(MOST_BYTES);
    Ok(heard)
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

    /// Who never ends, a byte at a time or many, is heard for so long and so much.
    #[test]
    fn an_endless_answer_ends() {
        for (bytes, whole) in [(1, Duration::from_millis(50)), (9000, WHOLE)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            let other = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                while stream.write_all(&vec![b'x'; bytes]).is_ok() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let heard = exchange(to, b"who", whole).unwrap();
            assert!((1..=MOST_BYTES).contains(&heard.len()));
            other.join().unwrap();
        }
    }
}
