"""A udisks2 that has one block device: `udisks.py DEVICE LOG`. Writes what it was asked for into LOG.

While it asks for a password, somebody may exchange the card: for the file that LOG.swap names.
"""

import os
import subprocess
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

DEVICE, LOG = sys.argv[1:]
BLOCK = "/org/freedesktop/UDisks2/block_devices/card"


def log(line):
    with open(LOG, "a") as file:
        print(line, file=file)


class Manager(dbus.service.Object):
    @dbus.service.method("org.freedesktop.UDisks2.Manager", in_signature="a{sv}a{sv}", out_signature="ao")
    def ResolveDevice(self, spec, _options):
        return [BLOCK] if spec.get("path") == DEVICE else []


class Block(dbus.service.Object):
    @dbus.service.method("org.freedesktop.UDisks2.Block", in_signature="sa{sv}", out_signature="h")
    def OpenDevice(self, mode, options):
        flags = int(options.get("flags", 0))
        log(f"{mode} excl={bool(flags & os.O_EXCL)} direct={bool(flags & os.O_DIRECT)}")
        if os.path.exists(LOG + ".swap"):
            with open(LOG + ".swap") as file:
                subprocess.run(["losetup", "--detach", DEVICE], check=True)
                subprocess.run(["losetup", DEVICE, file.read()], check=True)
        try:
            fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | flags)
        except OSError as error:
            raise dbus.DBusException(
                f"Error opening {DEVICE}: {error.strerror}", name="org.freedesktop.UDisks2.Error.Failed"
            )
        passed = dbus.types.UnixFd(fd)  # A duplicate: ours would keep the device busy.
        os.close(fd)
        return passed


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
name = dbus.service.BusName("org.freedesktop.UDisks2", bus)
objects = [Manager(bus, "/org/freedesktop/UDisks2/Manager"), Block(bus, BLOCK)]
log("ready")
GLib.MainLoop().run()
