//! Where this person's clusters are.

use crate::cli::ClusterArgs;
use crate::cluster::{Enrolment, Error, Store, Wish};
use crate::failure::{Exit, Failure};
use crate::person::Person;
use jiff::Timestamp;

/// The person's clusters, wherever the environment says.
///
/// # Errors
/// Nobody says where.
pub(super) fn store() -> Result<Store, Error> {
    Store::find(Person::of_this_process(), |name| std::env::var(name).ok())
}

/// Which cluster the arguments ask for.
pub(super) fn wish(args: &ClusterArgs) -> Wish {
    Wish {
        cluster: args.cluster.clone(),
        new_cluster: args.new_cluster,
        endpoint: args.endpoint.clone(),
        virtual_ip: args.virtual_ip.clone(),
    }
}

/// Takes the cluster of this run.
///
/// # Errors
/// As [`Enrolment::begin`].
pub(super) fn begin(wish: &Wish, look_only: bool) -> Result<Enrolment, Failure> {
    // Not the moment of reproducible cards: a token that has run out lets nobody in.
    Ok(Enrolment::begin(store()?, wish, Timestamp::now(), look_only)?)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            error if error.is_refusal() => Exit::Refused,
            error if error.is_usage() => Exit::Usage,
            _ => Exit::Failed,
        };
        let help = error.help();
        let failure = Failure::new(exit, super::super::failure::chain(&error));
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
