//! The units of a control plane that look after the cluster's certificates.

use super::{File, UNITS, text};

/// Renews at each boot, before the kubelet starts anything with the old ones: after a year without power they have ended.
pub const RENEW: &str = "pikube-renew.service";
/// Renews later: once the clock is right, for a Pi has none of its own, and then every day.
pub const RENEW_TIMER: &str = "pikube-renew.timer";
/// Approves what kubelets ask for to serve with.
pub const APPROVE: &str = "pikube-approve.service";
/// Looks for it all the time.
pub const APPROVE_TIMER: &str = "pikube-approve.timer";

/// Those that are enabled, with what wants them.
pub const ENABLED: [(&str, &str); 3] = [
    (RENEW, "multi-user.target.wants"),
    (RENEW_TIMER, "timers.target.wants"),
    (APPROVE_TIMER, "timers.target.wants"),
];

/// All of them.
pub fn files() -> [File; 4] {
    [
        (RENEW, RENEWING),
        (RENEW_TIMER, RENEWING_LATER),
        (APPROVE, APPROVING),
        (APPROVE_TIMER, APPROVING_ALWAYS),
    ]
    .map(|(name, content)| text(path(name), content))
}

/// Where a unit's file is.
pub fn path(name: &str) -> String {
    format!("{UNITS}/{name}")
}

const RENEWING: &str = "\
[Unit]
Description=pikube: renew the certificates of the control plane that end soon
ConditionPathExists=/var/lib/pikube/member
After=local-fs.target
Before=kubelet.service

[Service]
Type=oneshot
ExecStart=/usr/local/lib/pikube/pikube-agent renew
TimeoutStartSec=600
StandardInput=null
# What systemd itself says of each start would fill the log.
LogLevelMax=notice

[Install]
WantedBy=multi-user.target
";

const RENEWING_LATER: &str = "\
[Unit]
Description=pikube: renew the certificates of the control plane, every day

[Timer]
OnBootSec=10min
OnUnitActiveSec=1d
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
";

const APPROVING: &str = "\
[Unit]
Description=pikube: approve the certificates with which the kubelets of this cluster serve
ConditionPathExists=/var/lib/pikube/member

[Service]
Type=oneshot
# An API server that does not answer is its own trouble, and is asked again.
ExecStart=-/usr/local/lib/pikube/pikube-agent approve
TimeoutStartSec=300
StandardInput=null
LogLevelMax=notice
";

const APPROVING_ALWAYS: &str = "\
[Unit]
Description=pikube: approve the certificates with which the kubelets of this cluster serve, every two minutes

[Timer]
OnActiveSec=20s
OnUnitActiveSec=2min
AccuracySec=20s

[Install]
WantedBy=timers.target
";
