#!/bin/sh
# pikube-launch.sh [cloud]: started as root from the boot partition, by `systemd.run=` on the kernel command line, or
# as `/bin/sh .../pikube-launch.sh cloud` by cloud-init (HypriotOS, Ubuntu), at every boot, with no hook and no reboot.
# Installs the agent, its unit and its plan, takes the secrets off the card, and removes its own hook.
#
# Every step can be repeated, and the hook goes last: cut at any line, the next boot runs all of it again.
# It runs again when `piflash configure` has put another plan onto the card.
# No network, no waiting, nothing beyond POSIX sh and what Debian's essential packages have brought since jessie; ends
# with exit 0 always, because systemd would power the machine off otherwise.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

mode=${1:-}
boot=$(dirname "$0")
root=${PIKUBE_ROOT:-} # prefix of the root file system: only tests set it
config=$root/etc/pikube
units=$root/etc/systemd/system

say() {
    echo "pikube-launch: $*"
    echo "$*" >>"$boot/pikube-launch.log"
}

# What goes wrong is told on the card, where it can be read without the Pi.
give_up() {
    say "stopped: $*"
    {
        echo "FAILED: the launcher could not install the agent"
        echo "$*"
    } >"$boot/pikube-report.txt"
    sync
    exit 0
}

# install_file SOURCE TARGET MODE: whole or not at all, whenever the power goes. Secrets pass through a directory
# that is 0700, so the moment before chmod shows them to nobody.
install_file() {
    if ! cmp -s "$1" "$2"; then
        { cp "$1" "$2.new" && cmp -s "$1" "$2.new" && chmod "$3" "$2.new"; } ||
            give_up "copying $1 to $2: the root file system is full, or the card cannot be read"
        sync
        mv -f "$2.new" "$2" || give_up "renaming $2.new"
    fi
    chmod "$3" "$2"
}

# Which file the firmware takes the kernel command line from depends on the board, and on sections and conditions of
# config.txt that only the firmware knows: piflash puts the hook into each that may be, and it goes from each that has it.
# A command line has 1024 bytes at most; files of more than 4 KiB are not read.
hooked_files() {
    find "$boot" -type f -size -9 -exec grep -l 'systemd\.run=[^ ]*/pikube-launch\.sh' {} + 2>/dev/null
}

has_hook() {
    [ -n "$(hooked_files)" ]
}

# One sector of each file is overwritten in place, at the same length: no moment at which it is missing or cut.
# Only our own four tokens go, and they go together: a success action left alone would reboot for ever.
remove_hook() {
    has_hook || return 0
    hooked_files | while IFS= read -r cmdline; do
        old=$(cat "$cmdline")
        new=$(printf '%s\n' "$old" | sed -e 's| systemd\.run=[^ ]*/pikube-launch\.sh||g' \
            -e 's| systemd\.run_success_action=[^ ]*||g' -e 's| systemd\.run_failure_action=[^ ]*||g' \
            -e 's| systemd\.unit=kernel-command-line\.target||g')
        printf "%-${#old}s\n" "$new" | dd of="$cmdline" bs=4096 conv=notrunc 2>/dev/null
    done
    sync
}

# However the script ends, the hook goes. Where it cannot go (a read-only card), a reboot would come back here
# for ever: the system is brought up from here instead.
finish() {
    remove_hook
    if has_hook; then
        mount -o remount,rw "$boot" && remove_hook
    fi
    if [ -z "$root" ] && [ "$mode" != cloud ] && has_hook; then
        echo "pikube-launch: $(hooked_files) cannot be written; starting the system without a reboot"
        systemctl --no-block start multi-user.target
        while :; do sleep 3600; done
    fi
    exit 0
}
trap finish EXIT

# Zero bytes only are what a cut between overwriting and removing leaves: they hold nothing.
has_secrets() {
    [ -s "$boot/pikube-secrets.toml" ] && tr -d '\000' <"$boot/pikube-secrets.toml" | grep -q .
}

# cloud-init starts this at every boot; once the node is done, and nothing is new, there is nothing to do or to say.
if [ "$mode" = cloud ] && [ -e "$root/var/lib/pikube/done" ] && [ ! -e "$boot/pikube-secrets.toml" ] &&
    cmp -s "$boot/pikube.toml" "$config/pikube.toml"; then
    exit 0
fi

machine=$(uname -m)
say "started by $(uname -sr) on $machine${mode:+, $mode}"
[ -f "$boot/pikube.toml" ] || give_up "$boot/pikube.toml is missing: write the card again with piflash"

# The kernel decides which binary runs; a 64-bit kernel may have a 32-bit system above it.
case $machine in
armv6*) give_up "no agent runs on the $machine processor of this board: use a Raspberry Pi 2 or later" ;;
aarch64) agents="arm64 armv7" ;;
x86_64) agents="amd64" ;;
*) agents="armv7" ;;
esac
agent=
for name in $agents; do
    [ -n "$agent" ] || [ ! -f "$boot/pikube-agent-$name" ] || agent=$boot/pikube-agent-$name
done
[ -n "$agent" ] || give_up "no agent for $machine on the card: write the card again with piflash"

{ mkdir -p "$root/usr/local/lib/pikube" "$units/multi-user.target.wants" "$config" && chmod 700 "$config"; } ||
    give_up "creating directories: the root file system is full or read-only"

# Another plan, or secrets that the installed plan has not had: the agent has work again. Its marker goes first, or a
# cut would leave the new plan with the old marker. An agent that is at work on the old plan must not set it anew.
changed=
cmp -s "$boot/pikube.toml" "$config/pikube.toml" || changed=plan
! has_secrets || cmp -s "$boot/pikube-secrets.toml" "$config/pikube-secrets.toml" || changed=${changed:+$changed and }secrets
if [ -n "$changed" ]; then
    [ "$mode" != cloud ] || [ -n "$root" ] || systemctl stop pikube-agent.service 2>/dev/null
    rm -f "$root/var/lib/pikube/done" || give_up "removing /var/lib/pikube/done: the root file system is read-only"
    sync
fi
install_file "$agent" "$root/usr/local/lib/pikube/pikube-agent" 755
install_file "$boot/pikube.toml" "$config/pikube.toml" 600

# Secrets: first safe on the root file system, then overwritten where they lie, then unlinked. A deleted file's
# clusters would keep their bytes.
if [ -s "$boot/pikube-secrets.toml" ]; then
    # Copying zeros would destroy the good copy.
    if has_secrets; then
        install_file "$boot/pikube-secrets.toml" "$config/pikube-secrets.toml" 600
        sync
        size=$(wc -c <"$boot/pikube-secrets.toml")
        dd if=/dev/zero of="$boot/pikube-secrets.toml" bs="$size" count=1 conv=notrunc 2>/dev/null
        sync
    fi
    rm -f "$boot/pikube-secrets.toml"
    sync
fi

# Wireless networks: Raspberry Pi OS to bullseye would take the file at its next boot, and leave its bytes on the card.
wifi=$boot/wpa_supplicant.conf
if [ -s "$wifi" ] && grep -q '^\[wifi\]' "$boot/pikube.toml"; then
    if tr -d '\000' <"$wifi" | grep -q .; then
        mkdir -p "$root/etc/wpa_supplicant" || give_up "creating $root/etc/wpa_supplicant"
        conf=$root/etc/wpa_supplicant/wpa_supplicant.conf
        # The image's own is kept where the agent would keep it.
        [ ! -e "$conf" ] || [ -e "$conf.pikube-orig" ] || grep -q 'Written by pikube-agent' "$conf" ||
            cp -p "$conf" "$conf.pikube-orig"
        # Whole and not readable by others at any moment, as the folder is not the agent's own.
        (umask 077 && : >"$conf.new")
        install_file "$wifi" "$conf" 600
        # The radio stays off until somebody has said in which country it is: the file does.
        for state in "$root"/var/lib/systemd/rfkill/*:wlan; do
            [ ! -e "$state" ] || echo 0 >"$state"
        done
        sync
        size=$(wc -c <"$wifi")
        dd if=/dev/zero of="$wifi" bs="$size" count=1 conv=notrunc 2>/dev/null
        sync
    fi
    rm -f "$wifi"
    sync
fi

# Swap goes before the next boot, so that the boot in which the agent works never has any.
if ! grep -q '^swap = "keep"' "$boot/pikube.toml"; then
    rm -f "$units/multi-user.target.wants/dphys-swapfile.service"
    if [ -e "$root/etc/rpi/swap.conf" ] || [ -e "$root/usr/lib/systemd/system-generators/rpi-swap-generator" ]; then
        mkdir -p "$root/etc/rpi/swap.conf.d"
        printf '[Main]\nMechanism=none\n' >"$root/etc/rpi/swap.conf.d/90-pikube.conf"
    fi
fi

# The name, before the next boot asks a DHCP server under the image's own: routers keep the first that they hear. The
# agent does the rest of it; where cloud-init is, it sets the name itself.
hostname=$(sed -n 's/^hostname = "\([a-z0-9-]*\)"$/\1/p' "$boot/pikube.toml" | head -n 1)
if [ "$mode" != cloud ] && [ -n "$hostname" ] && [ "$(cat "$root/etc/hostname" 2>/dev/null)" != "$hostname" ]; then
    echo "$hostname" >"$root/etc/hostname.new" && mv -f "$root/etc/hostname.new" "$root/etc/hostname"
fi

# Raspberry Pi OS asks on the screen for a first user, for ever; the plan has one.
if grep -q '^\[user\]' "$boot/pikube.toml"; then
    for unit in "$root/lib/systemd/system/userconfig.service" "$root/usr/lib/systemd/system/userconfig.service"; do
        [ ! -f "$unit" ] || ln -sf /dev/null "$units/userconfig.service"
    done
fi

install_file "$boot/pikube-agent.service" "$units/pikube-agent.service" 644
ln -sf ../pikube-agent.service "$units/multi-user.target.wants/pikube-agent.service" || give_up "enabling pikube-agent.service"
sync
say "installed ${agent##*/} and its unit; new: ${changed:-nothing}"

# cloud-init waits for this script, and the unit waits for cloud-init's early stages: started, not waited for.
if [ "$mode" = cloud ] && [ -z "$root" ]; then
    systemctl daemon-reload
    systemctl --no-block start pikube-agent.service
fi
