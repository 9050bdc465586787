//! Kernel modules and settings that pods' networks need (`kubernetes-on-pi.md` §3.2 step 3), now and at each boot.

use super::{in_place, put};
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::{MODULE_NAMES, MODULES, SYSCTL, SYSCTLS, modules};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "kernel",
    title: "kernel modules and sysctl",
    class: Class::Essential,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let mut reasons = Vec::new();
    for path in [MODULES, SYSCTL] {
        if let Some(file) = context.file(path)
            && !in_place(host, file)?
        {
            reasons.push(format!("`{path}` is not as it should be"));
        }
    }
    if host.live() {
        let absent = absent_modules(context, host)?;
        if !absent.is_empty() {
            reasons.push(format!("not loaded: {}", absent.join(", ")));
        }
        for (key, value) in different_values(host)? {
            reasons.push(format!("`{key}` is not {value}"));
        }
    }
    Ok(Check::of(reasons, !host.live()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    for file in [MODULES, SYSCTL].into_iter().filter_map(|path| context.file(path)) {
        put(host, file)?;
    }
    for module in absent_modules(context, host)? {
        if let Err(error) = host.run(&Command::new("modprobe", [module])) {
            let help = if MODULE_NAMES.contains(&module) {
                format!(
                    "use a kernel that has `{module}`: the image's own (on Ubuntu, install \
                     `linux-modules-extra-raspi`)"
                )
            } else {
                format!(
                    "take `{module}` out of `system.modules` in the plan, or use a kernel that has it"
                )
            };
            return Err(Stop::person(error.to_string(), help));
        }
    }
    for (key, value) in different_values(host)? {
        host.tune(&value_path(key), value)?;
    }
    Ok(Notes::new())
}

/// Modules that are neither loaded nor part of the kernel (`modules.builtin`, kmod's documentation).
fn absent_modules<'a>(context: &'a Context, host: &dyn Look) -> Result<Vec<&'a str>, Error> {
    let release = host.text("/proc/sys/kernel/osrelease")?.unwrap_or_default();
    let path = format!("/lib/modules/{}/modules.builtin", release.trim());
    let builtin = host.text(&path)?.unwrap_or_default();
    let is_builtin = |module: &str| {
        builtin.lines().any(|line| {
            let file = line.rsplit('/').next().unwrap_or(line);
            file.split('.').next().unwrap_or(file).replace('-', "_") == module
        })
    };
    let mut absent = Vec::new();
    for module in modules(&context.plan) {
        // The kernel's own spelling.
        let name = module.replace('-', "_");
        if !host.exists(&format!("/sys/module/{name}"))? && !is_builtin(&name) {
            absent.push(module);
        }
    }
    Ok(absent)
}

fn different_values(host: &dyn Look) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let mut different = Vec::new();
    for (key, value) in SYSCTLS {
        if host.text(&value_path(key))?.is_none_or(|found| found.trim() != value) {
            different.push((key, value));
        }
    }
    Ok(different)
}

/// sysctl(8): points are folders. None of [`SYSCTLS`] names an interface with a point in it.
fn value_path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}
