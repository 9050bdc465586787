//! The API server of a cluster at a desk: a real control plane of the master's card where its programs are, else a stand-in
//! that keeps the tests of tokens alive.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use pikube_tests::control_plane::{Card, ControlPlane, PROGRAMS};
use pikube_tests::kubernetes::{Programs, VERSION};

use super::api::StandIn;
use super::desk::Desk;

/// The server; stops when dropped.
pub enum ApiServer {
    Real(Box<ControlPlane>),
    StandIn(StandIn),
}

impl ApiServer {
    /// Of the cluster `pikube`, whose master has this card; administrators have their rights.
    pub fn start(test: &str, desk: &Desk, card: &str) -> Self {
        let test = format!("{test}, with a real API server");
        let Some(programs) = Programs::or_skip(&test, VERSION, &PROGRAMS) else {
            let names = ["laperouse", "cp.pikube.internal"];
            return Self::StandIn(StandIn::start(desk, "pikube", &names, "pikube"));
        };
        let (plan, secrets) =
            (desk.on_card(card, "pikube.toml"), desk.on_card(card, "pikube-secrets.toml"));
        let plane = ControlPlane::start(&programs, &Card::new(&plan, &secrets).unwrap()).unwrap();
        plane.admit_administrators().unwrap();
        Self::Real(Box::new(plane))
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        match self {
            Self::Real(plane) => plane.address(),
            Self::StandIn(server) => server.address.clone(),
        }
    }

    /// All Secrets that are bootstrap tokens, as the API server lists them.
    fn secrets(&self) -> serde_json::Value {
        match self {
            Self::Real(plane) => {
                let kind = "--field-selector=type=bootstrap.kubernetes.io/token";
                let list = ["get", "secrets", "-n", "kube-system", kind, "-o", "json"];
                serde_json::from_str(&plane.ask(list).unwrap()).unwrap()
            }
            Self::StandIn(server) => server.list(),
        }
    }

    /// A value of a token's Secret, as text.
    pub fn data(&self, id: &str, key: &str) -> Option<String> {
        use base64::Engine as _;
        let list = self.secrets();
        let name = format!("bootstrap-token-{id}");
        let secret = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|secret| secret["metadata"]["name"] == name)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str()?);
        Some(String::from_utf8(bytes.unwrap()).unwrap())
    }

    /// The ids of the tokens, in their order.
    pub fn ids(&self) -> Vec<String> {
        let list = self.secrets();
        let names = list["items"].as_array().unwrap().iter();
        let names = names.map(|secret| secret["metadata"]["name"].as_str().unwrap().to_owned());
        names.map(|name| name.trim_start_matches("bootstrap-token-").to_owned()).collect()
    }
}
