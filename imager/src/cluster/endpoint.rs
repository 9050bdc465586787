//! Where the nodes of a cluster find its API server: a name that each of them has in its `/etc/hosts`, or an address.
//!
//! The address behind the name is the master's; or a virtual one that the control planes share (kube-vip), so that one
//! of them may be lost.

use std::net::IpAddr;

use pikube_config::values::host;
use pikube_config::{FirstbootPlan, Role};
use serde::{Deserialize, Serialize};

use super::{Cluster, Error, Node, PORT, Wish};

/// Name in the certificate of every API server that kubeadm sets up, whatever its endpoint is (kubeadm,
/// `GetAPIServerAltNames`).
const EVERY_SERVER: &str = "kubernetes";

/// What a person said of it; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    /// `host:port`; absent: `cp.CLUSTER.internal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// An address that the control planes share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) virtual_ip: Option<IpAddr>,
}

impl Endpoint {
    /// What is asked for, where nothing is as it is here.
    ///
    /// # Errors
    /// A value that is none; two that contradict each other.
    pub(super) fn changed(&self, wish: &Wish) -> Result<Self, Error> {
        let wrong = |option, message: String| Error::Value { option, message };
        let mut new = self.clone();
        if let Some(asked) = &wish.endpoint {
            let at = at(asked).map_err(|message| wrong("`--endpoint`", message))?;
            new.at = Some(at);
        }
        if let Some(asked) = &wish.virtual_ip {
            let message = || format!("`{asked}` is not an IP address, as in `192.168.1.250`");
            let ip = asked.parse().map_err(|_| wrong("`--virtual-ip`", message()))?;
            host::reachable(ip).map_err(|message| wrong("`--virtual-ip`", message))?;
            new.virtual_ip = Some(ip);
        }
        if let (Some(ip), Some(_)) = (new.ip(), new.virtual_ip) {
            let message = format!(
                "the endpoint is the address {ip} already; with a virtual address it is a name"
            );
            return Err(wrong("`--virtual-ip`", message));
        }
        Ok(new)
    }

    /// Whether it is what [`Endpoint::changed`] makes, for one that was read from a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check_kept(&self) -> Result<(), String> {
        let wish = Wish {
            endpoint: self.at.clone(),
            virtual_ip: self.virtual_ip.map(|ip| ip.to_string()),
            ..Wish::default()
        };
        match Self::default().changed(&wish) {
            Ok(made) if made == *self => Ok(()),
            Ok(_) => Err("its endpoint is not `host:port`".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// `host:port`, as kubeadm's `controlPlaneEndpoint` wants it.
    pub(super) fn of(&self, cluster: &str) -> String {
        self.at.clone().unwrap_or_else(|| format!("cp.{cluster}.internal:{PORT}"))
    }

    /// Name that the API server's certificate has to have.
    pub(super) fn tls_name(&self, cluster: &str) -> String {
        match self.ip() {
            Some(_) => EVERY_SERVER.to_owned(),
            None => split(&self.of(cluster)).0.to_owned(),
        }
    }

    /// Its address, where that is not the master's: of the endpoint itself, or the virtual one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.ip().or(self.virtual_ip)
    }

    fn ip(&self) -> Option<IpAddr> {
        split(self.at.as_deref()?).0.parse().ok()
    }

    /// `host:port` or `[host]:port` of the address, where it is one of its own.
    pub(super) fn own_server(&self) -> Option<String> {
        match (self.ip(), self.virtual_ip) {
            (Some(_), _) => self.at.clone(),
            (None, Some(IpAddr::V6(ip))) => Some(format!("[{ip}]:{PORT}")),
            (None, Some(IpAddr::V4(ip))) => Some(format!("{ip}:{PORT}")),
            (None, None) => None,
        }
    }

    /// Whether an address is still free for a node.
    ///
    /// # Errors
    /// It is the virtual one.
    pub(super) fn leaves(&self, address: IpAddr, name: &str) -> Result<(), Error> {
        match self.virtual_ip {
            Some(ip) if ip == address => Err(Error::Refused {
                message: format!(
                    "{address} is the cluster's virtual address, which no node has for its own, and `{name}` would"
                ),
                help: "give the node, or `--virtual-ip`, another address of the same network"
                    .into(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether a node can hold the virtual address: a control plane answers for it in its own network.
    ///
    /// # Errors
    /// It is the node's own, that of its router or name server, or outside of its network.
    pub(super) fn check(&self, plan: &FirstbootPlan) -> Result<(), Error> {
        let Some(ip) = self.virtual_ip else { return Ok(()) };
        let name = &plan.node.hostname;
        Node::of(plan).addresses.iter().try_for_each(|address| self.leaves(*address, name))?;
        let others = plan.network.addresses.iter().flat_map(|address| {
            let router = address.router.iter().map(|router| ("router", router));
            router.chain(address.dns.iter().map(|server| ("name server", server)))
        });
        for (what, address) in others {
            if address.parse() == Ok(ip) {
                return Err(Error::Refused {
                    message: format!("the virtual address {ip} is that of the {what} of `{name}`"),
                    help: "`--virtual-ip` takes a free address".into(),
                });
            }
        }
        let networks: Vec<&str> =
            plan.network.addresses.iter().map(|address| address.address.as_str()).collect();
        let holds = networks.iter().any(|network| host::contains(network, &ip.to_string()));
        if plan.node.role == Role::Worker || networks.is_empty() || holds {
            return Ok(());
        }
        Err(Error::Refused {
            message: format!(
                "the virtual address {ip} is not in the network of `{name}`, {}",
                networks.join(", ")
            ),
            help:
                "`--virtual-ip` takes a free address of the network that all control planes are in"
                    .into(),
        })
    }
}

/// `HOST[:PORT]` as `host:port`. A port of its own needs somebody who listens there: a load balancer at an address.
fn at(asked: &str) -> Result<String, String> {
    let (host, port) = match asked.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => (format!("[{ip}]"), PORT),
        Ok(IpAddr::V4(ip)) => (ip.to_string(), PORT),
        Err(_) => match asked.rsplit_once(':') {
            Some((host, port)) => {
                let message = || format!("`{port}` is not a port");
                (host.to_owned(), port.parse().map_err(|_| message())?)
            }
            None => (asked.to_owned(), PORT),
        },
    };
    let endpoint = format!("{host}:{port}");
    host::server(split(&endpoint).0)
        .map_err(|_| format!("`{asked}` is neither a name nor an address"))?;
    host::shared_endpoint(&endpoint)?;
    let is_name = split(&endpoint).0.parse::<IpAddr>().is_err();
    if is_name && host.ends_with(".local") {
        return Err(format!("`{host}`: what runs in Kubernetes cannot resolve names in .local"));
    }
    if is_name && port != PORT {
        return Err(format!(
            "port {port} needs a load balancer, whose address stands here; API servers listen on {PORT}"
        ));
    }
    Ok(endpoint)
}

/// Host, without brackets, and port.
pub(super) fn split(endpoint: &str) -> (&str, u16) {
    let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    (host.trim_start_matches('[').trim_end_matches(']'), port.parse().unwrap_or(PORT))
}

impl Cluster {
    /// Refuses another endpoint than the one that nodes have on their cards; `written` are those that get a card now.
    ///
    /// # Errors
    /// There are others.
    pub(super) fn move_endpoint(&mut self, to: Endpoint, written: &[String]) -> Result<(), Error> {
        if to == self.endpoint {
            return Ok(());
        }
        let name = &self.name;
        if let Some(other) = self.nodes.iter().find(|node| !written.contains(&node.hostname)) {
            let what = |endpoint: &Endpoint| match endpoint.virtual_ip {
                Some(ip) => format!("{} at {ip}", endpoint.of(name)),
                None => endpoint.of(name),
            };
            return Err(Error::Refused {
                message: format!(
                    "the API server of cluster `{name}` is {}, as the card of `{}` says, not {}",
                    what(&self.endpoint),
                    other.hostname,
                    what(&to)
                ),
                help: "`--new-cluster` starts over; or leave `--endpoint` and `--virtual-ip` away"
                    .into(),
            });
        }
        self.endpoint = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(endpoint: Option<&str>, virtual_ip: Option<&str>) -> Result<Endpoint, String> {
        let (endpoint, virtual_ip) = (endpoint.map(Into::into), virtual_ip.map(Into::into));
        let wish = Wish { endpoint, virtual_ip, ..Wish::default() };
        Endpoint::default().changed(&wish).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_or_an_address() {
        for (endpoint, virtual_ip, expected) in [
            (None, None, ("cp.pikube.internal:6443", "cp.pikube.internal", None)),
            (Some("api.sea"), None, ("api.sea:6443", "api.sea", None)),
            (Some("api.sea:6443"), Some("10.0.0.9"), ("api.sea:6443", "api.sea", Some("10.0.0.9"))),
            (
                None,
                Some("fd00::9"),
                ("cp.pikube.internal:6443", "cp.pikube.internal", Some("fd00::9")),
            ),
            (Some("10.0.0.9:443"), None, ("10.0.0.9:443", "kubernetes", Some("10.0.0.9"))),
            (Some("fd00::9"), None, ("[fd00::9]:6443", "kubernetes", Some("fd00::9"))),
        ] {
            let endpoint = asked(endpoint, virtual_ip).unwrap();
            let (of, name) = (endpoint.of("pikube"), endpoint.tls_name("pikube"));
            let address = endpoint.address().map(|ip| ip.to_string());
            assert_eq!((of.as_str(), name.as_str(), address.as_deref()), expected);
        }
        for (endpoint, virtual_ip, part) in [
            (Some("api.sea:8443"), None, "needs a load balancer"),
            (Some("master.local"), None, "cannot resolve"),
            (Some("a b"), None, "neither a name nor an address"),
            (Some("localhost"), None, "every computer"),
            (Some("api.localhost:6443"), None, "every computer"),
            (Some("127.0.0.1"), None, "not an address that a node can have"),
            (Some("[::1]:6443"), None, "not an address that a node can have"),
            (None, Some("224.0.0.1"), "not an address that a node can have"),
            (None, Some("0.0.0.0"), "not an address that a node can have"),
            (Some("api:x"), None, "not a port"),
            (None, Some("sea"), "`sea` is not an IP address"),
            (Some("10.0.0.1"), Some("10.0.0.2"), "is the address 10.0.0.1 already"),
        ] {
            let error = asked(endpoint, virtual_ip).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
