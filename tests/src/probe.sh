#!/bin/sh
# Runs on the node, started by the unit pikube-test-probe.service of the test images once the system is up: waits until
# the agent rests, answers the questions of the tests into pikube-test-facts.txt on the boot partition, one section for
# each, and powers the node off if pikube-test-poweroff is there.
boot=$(dirname "$0")
facts=$boot/pikube-test-facts.txt
agent=/usr/local/lib/pikube/pikube-agent

# Where cloud-init starts the agent, that is the last thing it does, long after the system is up.
cloud=$(command -v cloud-init) && timeout 900 cloud-init status --wait >/dev/null

# The agent's unit is at rest when nothing starts it again by itself, now or by a job in the queue; at most 15 minutes.
tries=0
while [ "$tries" -lt 900 ]; do
  case $(systemctl show -p ActiveState --value pikube-agent.service) in
    inactive | failed) systemctl list-jobs --no-legend | grep -q ' pikube-agent\.service ' || break ;;
  esac
  tries=$((tries + 1))
  sleep 1
done
running=$(timeout 180 systemctl is-system-running --wait 2>&1)

section() {
  echo "=== $1"
  shift
  "$@" 2>&1
}

# shellcheck disable=SC2016 # the inner shells expand
{
  section running echo "$running"
  section failed systemctl --failed --plain --no-legend --no-pager
  section jobs systemctl list-jobs --plain --no-legend --no-pager
  section kernel uname -srm
  section cmdline cat /proc/cmdline
  section hostname hostname
  section etc-hostname cat /etc/hostname
  section hosts cat /etc/hosts
  section timezone sh -c 'readlink -f /etc/localtime; cat /etc/timezone'
  section date date +%Z
  section ntp timedatectl show-timesync --property=SystemNTPServers --property=FallbackNTPServers
  section ntp-files sh -c 'cat /etc/systemd/timesyncd.conf /etc/systemd/timesyncd.conf.d/*.conf /run/systemd/timesyncd.conf.d/*.conf'
  section locale cat /etc/default/locale
  section locales locale -a
  section keyboard cat /etc/default/keyboard
  section swaps cat /proc/swaps
  section controllers cat /sys/fs/cgroup/cgroup.controllers
  section passwd getent passwd
  # digests of the password fields: the answers lie on the boot partition, where no secret may be found
  section shadow sh -c 'getent shadow | while IFS=: read -r name field rest; do echo "$name:$(printf %s "$field" | sha256sum | cut -d" " -f1)"; done'
  section groups sh -c 'for user in $(getent passwd | cut -d: -f1); do echo "$user: $(id -Gn "$user")"; done'
  section authorized-keys sh -c 'for file in /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys; do [ ! -f "$file" ] || { stat -c "%n %U %a" "$file"; cat "$file"; }; done'
  section sudo sh -c 'for user in $(getent passwd | awk -F: "\$3 >= 1000 && \$3 < 60000 { print \$1 }"); do sudo -l -U "$user"; done'
  section ssh systemctl is-active ssh.service
  section modules cat /proc/modules
  section sysctl sysctl net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables
  section machine-id cat /etc/machine-id
  section cloud-init sh -c '[ -z "$1" ] || "$1" status --long' status "$cloud"
  section marker sh -c 'ls -l /var/lib/pikube/done'
  section agent-unit systemctl show pikube-agent.service -p LoadState -p ActiveState -p SubState -p Result -p UnitFileState -p StatusText
  section agent-status "$agent" status --format json
  section agent-status-text "$agent" status
  section agent-journal journalctl --no-pager --no-hostname -u pikube-agent
  section config ls -la /etc/pikube
  section root-size df -k --output=size /
  section fstab cat /etc/fstab
  # what a further boot may not change, with what it holds; the host's and the probe's own files are not the agent's
  section files sh -c 'find /etc /home /root /usr/local /var/lib/pikube -xdev \( -type f -o -type l \) ! -name "*-" -printf "%p %U:%G %m %l\n" | sort
    find /etc /home /root /usr/local /var/lib/pikube -xdev -type f ! -name "*-" -print0 | sort -z | xargs -0 sha256sum
    cd "$1" && find . -maxdepth 1 -type f ! -name "pikube-test-*" ! -name "FSCK*" -print0 | sort -z | xargs -0 sha256sum' files "$boot"
  echo "=== end"
} > "$facts.new"
sync
mv "$facts.new" "$facts"
sync
echo "pikube-test-probe: answered" > /dev/kmsg
[ ! -e "$boot/pikube-test-poweroff" ] || systemctl poweroff
