//! Arguments → settings: reads the files that options name, judges nothing else.

use crate::cli::SettingsArgs;
use crate::failure::{Exit, Failure};
use crate::plan::{self, NetworkSettings, Settings, WifiSettings};

/// What the arguments ask for.
///
/// # Errors
/// A password among the arguments; a file that cannot be used.
pub(super) fn of(args: &SettingsArgs) -> Result<Settings, Failure> {
    if args.password.is_some() {
        let message =
            "a password is among the arguments, where every user of this computer can read it";
        return Err(Failure::new(Exit::Usage, message)
            .help("put it in a file: `--password-file FILE`, `--wifi-password-file FILE`"));
    }
    let password = args.password_file.as_deref().map(plan::read_password).transpose()?;
    let wifi_passwords =
        args.wifi_password_file.as_deref().map(plan::read_passwords).transpose()?;
    Ok(Settings {
        timezone: args.timezone.clone(),
        ntp: args.ntp.clone(),
        locale: args.locale.clone(),
        keyboard: args.keyboard.clone(),
        user: args.user.clone(),
        ssh_keys: plan::read_key_files(&args.ssh_key)?,
        password,
        swap: args.swap.map(Into::into),
        apt_mirror: args.apt_mirror.clone(),
        apt_proxy: args.apt_proxy.clone(),
        modules: args.kernel_module.clone(),
        network: NetworkSettings {
            interface: args.interface.clone(),
            addresses: args.address.clone(),
            router: args.router.clone(),
            dns: args.dns.clone(),
        },
        wifi: WifiSettings {
            networks: args.wifi.clone(),
            passwords: wifi_passwords.unwrap_or_default(),
            country: args.wifi_country.clone(),
            hidden: args.wifi_hidden.clone(),
            wpa3: args.wifi_wpa3.clone(),
            open: args.wifi_open.clone(),
        },
    })
}
