//! Bootstrap tokens of a cluster that is up: made, listed and taken back through its API server.

use jiff::{SignedDuration, Timestamp};
use pikube_config::values::cluster;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};

use super::api::{self, Api, ApiError, ApiToken};
use super::token::Token;
use super::{Cluster, Error, Store};

/// How long a token lasts that `kubeadm token create` made (kubeadm, `DefaultTokenDuration`).
const KUBEADM: SignedDuration = SignedDuration::from_hours(24);
/// How often an id is drawn anew that another token has.
const DRAWS: usize = 4;
/// What a token is for where nobody says.
const DESCRIPTION: &str = "for cards written by piflash";

impl Cluster {
    /// The tokens that the cluster knows.
    ///
    /// # Errors
    /// The API server does not tell.
    pub fn tokens(&self, server: Option<&str>, now: Timestamp) -> Result<Vec<ApiToken>, Error> {
        let api = Api::new(self, server, now)?;
        let told = api.call(&Method::GET, api::LIST, None);
        let list = told.map_err(|source| self.asking("listing the tokens", source))?;
        Ok(api::tokens(&list))
    }

    /// Makes a token in the cluster, and keeps it: the cards that are written from now on get it.
    ///
    /// # Errors
    /// The API server does not take it; it cannot be kept.
    pub fn create_token(
        store: &Store,
        name: &str,
        server: Option<&str>,
        description: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        Self::change(store, name, |cluster| cluster.mint(server, description, now))
    }

    /// Takes a token from the cluster; whether cards got it.
    ///
    /// # Errors
    /// There is none of this id; the API server does not take it back.
    pub fn revoke_token(
        store: &Store,
        name: &str,
        id: &str,
        server: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let is_id =
            id.len() == 6 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_id {
            // Whatever it is, it may be a secret.
            let message = "it is the part of a token before the point, 6 of a to z and 0 to 9";
            return Err(Error::Value { option: "the token's id", message: message.into() });
        }
        let mut own = false;
        Self::change(store, name, |cluster| {
            let api = Api::new(cluster, server, now)?;
            own = cluster.token.id() == id;
            match api.call(&Method::DELETE, &api::path(Some(id)), None) {
                Ok(_) => {}
                // The cluster removes those that have run out by itself.
                Err(error) if error.code() == Some(404) && own => {}
                Err(error) if error.code() == Some(404) => {
                    return Err(Error::Refused {
                        message: format!("cluster `{name}` has no token `{id}`"),
                        help: format!("`piflash token list --cluster {name}` shows those it has"),
                    });
                }
                Err(source) => return Err(cluster.asking("taking the token back", source)),
            }
            if own {
                cluster.token.expires = cluster.token.expires.min(now);
            }
            Ok(())
        })?;
        Ok(own)
    }

    /// Whether this is the id of the token that cards get.
    pub fn is_own_token(&self, id: &str) -> bool {
        self.token.id() == id
    }

    /// Its token, which is a secret.
    pub fn token(&self) -> &SecretString {
        &self.token.text
    }

    /// The part of its token that is no secret.
    pub fn token_id(&self) -> &str {
        self.token.id()
    }

    /// Makes a new token in the cluster, in memory it is the one that cards get.
    pub(super) fn mint(
        &mut self,
        server: Option<&str>,
        description: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let api = Api::new(self, server, now)?;
        let mut draws = 0;
        loop {
            draws += 1;
            let token = self.fresh_token(now)?;
            let body = api::manifest(&token, description.unwrap_or(DESCRIPTION));
            match api.call(&Method::POST, &api::path(None), Some(&body)) {
                Ok(_) => {
                    self.token = token;
                    return Ok(());
                }
                Err(error) if error.code() == Some(409) && draws < DRAWS => {}
                Err(source) => return Err(self.asking("making a token", source)),
            }
        }
    }

    /// The same because the one before has run out, with the ways out where it does not work.
    pub(super) fn renew_token(
        &mut self,
        server: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let over = self.token.expires;
        self.mint(server, None, now).map_err(|error| match error {
            Error::Api { source, cluster, .. } => Error::TokenOver { cluster, over, source },
            other => other,
        })
    }

    pub(super) fn fresh_token(&self, now: Timestamp) -> Result<Token, Error> {
        Token::generate(now)
            .map_err(|error| Error::Keys { cluster: self.name.clone(), message: error.to_string() })
    }

    fn asking(&self, doing: &'static str, source: ApiError) -> Error {
        Error::Api { doing, cluster: self.name.clone(), source }
    }
}

impl Token {
    /// One that somebody made with `kubeadm token create`, whose end is not known: that is kubeadm's usual one.
    ///
    /// # Errors
    /// It is none; never with its text.
    pub(super) fn handed_in(text: &SecretString, now: Timestamp) -> Result<Self, Error> {
        let text = text.expose_secret().trim();
        if cluster::token(text).is_err() {
            let message = "its first line is no token, as `kubeadm token create` prints one";
            return Err(Error::Value { option: "`--token-file`", message: message.into() });
        }
        let expires = Timestamp::from_second((now + KUBEADM).as_second()).unwrap_or(now);
        Ok(Self { text: SecretString::from(text), expires })
    }

    /// The part before the point.
    pub(super) fn id(&self) -> &str {
        self.text.expose_secret().split('.').next().unwrap_or_default()
    }
}
