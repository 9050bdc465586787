//! udisks2 over D-Bus: opens and ejects for a person at a desktop what root would otherwise have to.
//!
//! Interfaces as in <https://storaged.org/doc/udisks2-api/latest/>. Whether the person may is decided by polkit, which
//! may ask them for a password.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use zbus::connection::Builder;
use zbus::{Connection, OwnedFd, OwnedObjectPath, Variant, proxy};

/// How long a call may take: a person may be typing a password meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// Options of a call, `a{sv}`.
type Options<'a> = HashMap<&'a str, Variant<'a>>;

#[proxy(
    interface = "org.freedesktop.UDisks2.Manager",
    default_service = "org.freedesktop.UDisks2",
    default_path = "/org/freedesktop/UDisks2/Manager"
)]
trait Manager {
    async fn resolve_device(
        &self,
        device: Options<'_>,
        options: Options<'_>,
    ) -> zbus::Result<Vec<OwnedObjectPath>>;
}

#[proxy(interface = "org.freedesktop.UDisks2.Block", default_service = "org.freedesktop.UDisks2")]
trait Block {
    /// Since udisks 2.7.3. Asks polkit for `org.freedesktop.udisks2.open-device`.
    async fn open_device(&self, mode: &str, options: Options<'_>) -> zbus::Result<OwnedFd>;

    #[zbus(property)]
    fn drive(&self) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.UDisks2.Drive", default_service = "org.freedesktop.UDisks2")]
trait Drive {
    async fn eject(&self, options: Options<'_>) -> zbus::Result<()>;

    #[zbus(property)]
    fn ejectable(&self) -> zbus::Result<bool>;
}

/// Opens a block device for reading and writing, with `flags` beside that.
///
/// # Errors
/// No system bus, no udisks2, or what these say.
pub(super) fn open(device: &Path, flags: OFlag) -> zbus::Result<File> {
    zbus::block_on(async {
        let bus = system_bus().await?;
        let block = block(&bus, device).await?;
        let options = Options::from([("flags", Variant::from(flags.bits()))]);
        let opened = block.open_device("rw", options).await?;
        Ok(File::from(std::os::fd::OwnedFd::from(opened)))
    })
}

/// Ejects the drive that a block device is.
///
/// # Errors
/// As [`open`]; a drive that cannot eject.
pub(super) fn eject(device: &Path) -> zbus::Result<()> {
    zbus::block_on(async {
        let bus = system_bus().await?;
        let drive = block(&bus, device).await?.drive().await?;
        let drive = DriveProxy::builder(&bus).path(drive).build().await?;
        match drive.ejectable().await? {
            true => drive.eject(HashMap::new()).await,
            false => Err(zbus::Error::Unsupported),
        }
    })
}

/// The system bus. Nothing on it may keep us waiting for ever.
async fn system_bus() -> zbus::Result<Connection> {
    Builder::system().method_timeout(PATIENCE).build().await
}

async fn block<'a>(bus: &'a Connection, device: &Path) -> zbus::Result<BlockProxy<'a>> {
    let path = device.to_str().ok_or(zbus::Error::InvalidField)?;
    let manager = ManagerProxy::new(bus).await?;
    let spec = Options::from([("path", Variant::from(path))]);
    let objects = manager.resolve_device(spec, HashMap::new()).await?;
    let object = objects.into_iter().next().ok_or(zbus::Error::MissingField)?;
    BlockProxy::builder(bus).path(object).build().await
}
