//! The cluster's DNS on a node that is ready, once CoreDNS has a pod that runs: the services' address is this node's own,
//! and names of services are answered there.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::Told;
use crate::client::Client;
use crate::config::text;
use crate::{link, place};

/// Whether it is served.
#[derive(Default)]
pub(super) struct Dns {
    is_served: bool,
}

impl Dns {
    /// One round.
    ///
    /// # Errors
    /// The address cannot be taken.
    pub(super) fn round(&mut self, told: &Told, client: &Client, is_ready: bool) -> Result<()> {
        let address = text(&told.config, "/clusterDNS/0").parse::<Ipv4Addr>();
        let (false, true, true, Ok(address)) =
            (self.is_served, is_ready, place::is_node(), address)
        else {
            return Ok(());
        };
        let pods =
            client.get("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns")?;
        let runs = |pod: &Value| text(pod, "/status/phase") == "Running";
        if !pods["items"].as_array().is_some_and(|pods| pods.iter().any(runs)) {
            return Ok(());
        }
        link::serve_at(&address.to_string())?;
        let datagrams = UdpSocket::bind((address, 53))?;
        let streams = TcpListener::bind((address, 53))?;
        // the first address of the services' network is that of the API, nine below the DNS
        let api = Ipv4Addr::from(u32::from(address).saturating_sub(9));
        let zone =
            Zone { domain: text(&told.config, "/clusterDomain").to_owned(), api, dns: address };
        let own = zone.clone();
        std::thread::spawn(move || own.datagrams(&datagrams));
        std::thread::spawn(move || zone.streams(&streams));
        self.is_served = true;
        Ok(())
    }
}

#[derive(Clone)]
struct Zone {
    domain: String,
    api: Ipv4Addr,
    dns: Ipv4Addr,
}

impl Zone {
    fn datagrams(&self, socket: &UdpSocket) {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if let Some(answer) = self.answer(&question[..length]) {
                // who asked may be gone
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn streams(&self, listener: &TcpListener) {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            let patient = stream.set_read_timeout(Some(Duration::from_secs(5)));
            if patient.is_err() || stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut question).is_err() {
                continue;
            }
            let Some(answer) = self.answer(&question) else { continue };
            let Ok(length) = u16::try_from(answer.len()) else { continue };
            // who asked may be gone
            let _ = stream.write_all(&[&length.to_be_bytes()[..], &answer].concat());
        }
    }

    /// The answer to one question (RFC 1035 §4): the address of a service, or that there is no such name.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*question.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let kind = question.get(at..at + 2)?;
        let asked = question.get(12..at + 4)?;
        let name = labels.join(".");
        let address = if name == format!("kubernetes.default.svc.{}", self.domain) {
            Some(self.api)
        } else if name == format!("kube-dns.kube-system.svc.{}", self.domain) {
            Some(self.dns)
        } else {
            None
        };
        let address_wanted = address.filter(|_| kind == [0, 1]);
        let mut answer = question.get(..2)?.to_vec();
        answer.extend_from_slice(&[0x85, if address.is_some() { 0x80 } else { 0x83 }]);
        answer.extend_from_slice(&[0, 1, 0, u8::from(address_wanted.is_some()), 0, 0, 0, 0]);
        answer.extend_from_slice(asked);
        if let Some(address) = address_wanted {
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
            answer.extend_from_slice(&address.octets());
        }
        Some(answer)
    }
}
