"""Reads keyfiles as NetworkManager does, with its own library: a JSON list of texts in, what they say out."""

import json
import sys

import gi

gi.require_version("NM", "1.0")
from gi.repository import GLib, NM  # noqa: E402


def addresses(ip):
    return {
        "method": ip.get_method(),
        "addresses": [f"{a.get_address()}/{a.get_prefix()}" for a in map(ip.get_address, range(ip.get_num_addresses()))],
        "gateway": ip.get_gateway(),
        "dns": [ip.get_dns(n) for n in range(ip.get_num_dns())],
    }


def said(text):
    keyfile = GLib.KeyFile()
    keyfile.load_from_bytes(GLib.Bytes(text.encode()), GLib.KeyFileFlags.NONE)
    warnings = []
    folder = "/etc/NetworkManager/system-connections"
    handler = lambda *_: warnings.append("warning") or False  # noqa: E731
    connection = NM.keyfile_read(keyfile, folder, NM.KeyfileHandlerFlags.NONE, handler)
    settings = connection.get_setting_connection()
    # The daemon makes it from the file's path.
    settings.set_property("uuid", NM.utils_uuid_generate())
    connection.normalize()
    wifi = connection.get_setting_wireless()
    security = connection.get_setting_wireless_security()
    return {
        "valid": connection.verify(),
        "warnings": len(warnings),
        "id": settings.get_id(),
        "interface": settings.get_interface_name(),
        "priority": settings.get_autoconnect_priority(),
        "ssid": wifi and wifi.get_ssid().get_data().hex(),
        "hidden": bool(wifi and wifi.get_hidden()),
        "management": security and security.get_key_mgmt(),
        "password": security and security.get_psk(),
        "ipv4": addresses(connection.get_setting_ip4_config()),
        "ipv6": addresses(connection.get_setting_ip6_config()),
    }


json.dump([said(text) for text in json.load(sys.stdin)], sys.stdout)
