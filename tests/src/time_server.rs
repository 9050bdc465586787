//! A time server on the laptop of a switch (SNTP, RFC 4330): this computer's own clock.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::switch::{LAPTOP, Switch};

/// From the epoch of NTP, 1900, to that of Unix.
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
/// Length of a packet without extensions.
const PACKET_BYTES: usize = 48;
/// How often the thread looks whether the server is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// A time server that runs. Gone when dropped.
#[derive(Debug)]
pub struct TimeServer {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TimeServer {
    /// Answers at [`LAPTOP`].
    ///
    /// # Errors
    /// When the namespace cannot be entered or the port is taken.
    pub fn start(switch: &Switch) -> Result<Self> {
        let address: SocketAddr = format!("{LAPTOP}:123").parse()?;
        let socket =
            switch.within(|| UdpSocket::bind(address)).context("starting the time server")?;
        socket.set_read_timeout(Some(LOOK))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            let mut request = [0; PACKET_BYTES];
            while !of_thread.load(Ordering::Relaxed) {
                // nobody has asked for a while, or not properly
                let Ok((PACKET_BYTES, client)) = socket.recv_from(&mut request) else { continue };
                let _ = socket.send_to(&answer(&request, SystemTime::now()), client);
            }
        });
        Ok(Self { stopped, thread: Some(thread) })
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// RFC 4330 §6: what a primary server with a clock of its own says.
fn answer(request: &[u8; PACKET_BYTES], now: SystemTime) -> [u8; PACKET_BYTES] {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = (since_1970.as_secs() + SECONDS_1900_TO_1970) as u32;
    let fraction = ((u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000) as u32;
    let mut stamp = [0; 8];
    stamp[..4].copy_from_slice(&seconds.to_be_bytes());
    stamp[4..].copy_from_slice(&fraction.to_be_bytes());

    let mut packet = [0; PACKET_BYTES];
    // no leap second, the client's version, mode 4: server
    packet[0] = (request[0] & 0b0011_1000) | 4;
    // stratum 1, the client's poll interval, precision 2^-20 s
    packet[1..4].copy_from_slice(&[1, request[2], 0xec]);
    packet[12..16].copy_from_slice(b"LOCL");
    packet[16..24].copy_from_slice(&stamp);
    // what the client calls its time of transmission
    packet[24..32].copy_from_slice(&request[40..48]);
    packet[32..40].copy_from_slice(&stamp);
    packet[40..48].copy_from_slice(&stamp);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_s_answer() {
        let mut request = [0; PACKET_BYTES];
        request[0] = 0x23; // version 4, client
        request[40..48].copy_from_slice(b"whenever");
        let packet = answer(&request, UNIX_EPOCH + Duration::from_millis(1_795_262_400_500));
        assert_eq!(packet[0], 0x24);
        assert_eq!(packet[1], 1, "the stratum of a server that may be believed");
        assert_eq!(&packet[24..32], b"whenever");
        let seconds = u32::from_be_bytes([packet[40], packet[41], packet[42], packet[43]]);
        assert_eq!(u64::from(seconds), 1_795_262_400 + SECONDS_1900_TO_1970);
        assert_eq!(packet[44..48], [0x80, 0, 0, 0], "half a second");
    }
}
