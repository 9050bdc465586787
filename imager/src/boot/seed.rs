//! cloud-init's files on the boot partition, `user-data` and `meta-data`: which of them change.
//!
//! | who wrote the `user-data` that lies there | where cloud-init starts the agent (HypriotOS, Ubuntu) | Raspberry Pi OS trixie |
//! |---|---|---|
//! | the image's makers | replaced | left alone |
//! | somebody else | wrapped; refused where cloud-init could not read it as one part | left alone, with a warning; refused where it sets another host name |
//! | piflash | brought up to date | left alone |
//!
//! A `user-data` that a person gives takes the place of all of these.

use pikube_config::FirstbootPlan;

use super::edits::{Edit, EditError, Found, Show, launcher_path};
use super::extras::Extras;
use super::meta_data::{self, Instance};
use super::os::{Hook, Os, Release};
use super::user_data::{self, Author, Login, UserData};

/// What the two files depend on.
pub struct Seed<'a> {
    pub os: &'a Os,
    pub plan: &'a FirstbootPlan,
    pub extras: &'a Extras,
    pub found: &'a Found,
    /// Whether the launcher has to run.
    pub armed: bool,
}

impl Seed<'_> {
    /// The edits; `password` says that a password for the login user is on its way.
    pub fn edits(
        &self,
        password: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Edit>, EditError> {
        match (self.os.hook, self.extras.user_data()) {
            (Hook::CloudInit, _) => self.hook(password, warnings),
            (Hook::SystemdRun, Some(own)) if self.os.cloud_init => {
                self.beside_the_hook(own, warnings)
            }
            (Hook::SystemdRun, Some(_)) => Err(EditError::NoCloudInit(self.os.name())),
            (Hook::SystemdRun, None) => self.left_alone(warnings).map(|()| Vec::new()),
        }
    }

    /// cloud-init starts the launcher.
    fn hook(&self, password: bool, warnings: &mut Vec<String>) -> Result<Vec<Edit>, EditError> {
        let launcher = launcher_path(self.os);
        let own = match self.extras.user_data() {
            Some(own) => Some(own.clone()),
            None => self.found_own()?,
        };
        if let Some(own) = &own {
            self.check(own, warnings)?;
        }
        let text = own.as_ref().map_or("", UserData::text);
        let instance = Instance::new(Some(self.plan), text);
        let Some(instance) = self.next(instance) else { return Ok(Vec::new()) };
        let user_data = match &own {
            Some(own) => {
                let text = user_data::wrap(own, &launcher, self.found.launched);
                Edit::new("user-data", text, Show::Size)
            }
            None => {
                let login = Login { password, exists: self.found.launched };
                let text = user_data::generate(self.os, self.plan, login, &launcher);
                Edit::new("user-data", text, Show::Text)
            }
        };
        Ok(vec![user_data, self.meta_data(&instance)])
    }

    /// A person's own `user-data` on a system whose kernel command line starts the launcher: cloud-init reads it there
    /// by itself, once it is a new instance.
    fn beside_the_hook(
        &self,
        own: &UserData,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Edit>, EditError> {
        self.check(own, warnings)?;
        let now = self.found.user_data.as_deref();
        let current = self.current();
        let instance = Instance::new(None, own.text());
        let known = current.as_ref().is_some_and(|current| current.same_content(&instance));
        if known && now == Some(own.text().as_bytes()) {
            return Ok(Vec::new());
        }
        let instance = match &current {
            Some(current) => instance.after(current),
            None => instance,
        };
        let user_data = Edit::new("user-data", own.text(), Show::Size);
        Ok(vec![user_data, self.meta_data(&instance)])
    }

    /// The file that lies there is not ours to change.
    fn left_alone(&self, warnings: &mut Vec<String>) -> Result<(), EditError> {
        let now = self.found.user_data.as_deref().unwrap_or_default();
        let ours = self.current().is_some();
        if !self.os.cloud_init || ours || user_data::is_empty(now) {
            return Ok(());
        }
        if let Ok(own) = UserData::new(now) {
            self.check(&own, warnings)?;
        }
        warnings.push(
            "somebody changed the `user-data` of this image: it is left as it is, and cloud-init does what it says".into(),
        );
        Ok(())
    }

    /// What a person wrote before, wrapped or not.
    fn found_own(&self) -> Result<Option<UserData>, EditError> {
        let Some(now) = self.found.user_data.as_deref() else { return Ok(None) };
        let own = match user_data::author(now) {
            Author::Generated => return Ok(None),
            Author::Other if user_data::is_shipped(self.os.family, now) => return Ok(None),
            Author::Other => UserData::new(now),
            Author::Wrapped => user_data::unwrap(now),
        };
        own.map(Some).map_err(EditError::FoundUserData)
    }

    fn check(&self, own: &UserData, warnings: &mut Vec<String>) -> Result<(), EditError> {
        let ours = &self.plan.node.hostname;
        if let Some(theirs) = own.hostname().filter(|theirs| theirs != ours) {
            return Err(EditError::Hostname { theirs: theirs.to_owned(), ours: ours.clone() });
        }
        if self.os.release == Release::Jessie && !own.text().is_ascii() {
            return Err(EditError::NotAscii(self.os.name()));
        }
        if own.has_known_password() {
            warnings
                .push("the `user-data` lets in whoever knows this image's usual password".into());
        }
        Ok(())
    }

    /// The instance that lies there.
    fn current(&self) -> Option<Instance> {
        Instance::of(&String::from_utf8_lossy(self.found.meta_data.as_deref()?))
    }

    /// The instance to write; nothing where cloud-init has, or will have, done all that there is to do.
    fn next(&self, wanted: Instance) -> Option<Instance> {
        match self.current() {
            Some(current) if !self.armed && current.same_content(&wanted) => None,
            Some(current) if self.found.launched => Some(wanted.after(&current)),
            _ => Some(wanted),
        }
    }

    fn meta_data(&self, instance: &Instance) -> Edit {
        let now = String::from_utf8_lossy(self.found.meta_data.as_deref().unwrap_or_default());
        let text = meta_data::edit(&now, instance, &self.plan.node.hostname);
        Edit::new("meta-data", text, Show::Text)
    }
}
