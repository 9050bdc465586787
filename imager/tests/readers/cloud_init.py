"""What cloud-init makes of a NoCloud seed, by cloud-init's own code, as JSON.

cloud_init.py FOLDER: FOLDER/seed/nocloud holds user-data and meta-data. Nothing outside of FOLDER is written.
"""

import json
import logging
import sys

from cloudinit import distros, helpers, user_data, util
from cloudinit.distros import ug_util
from cloudinit.sources import DataSourceNoCloud

logging.disable(logging.CRITICAL)
folder = sys.argv[1]
# As the packages of Debian and Ubuntu ship it: the default user, unless user-data says otherwise.
shipped = {
    "users": ["default"],
    "datasource_list": ["NoCloud", "None"],
    # The seed's folder only: no disk of this machine is asked for its label.
    "datasource": {"NoCloud": {"fs_label": None}},
    "system_info": {
        "distro": "debian",
        "default_user": {"name": "image-default", "lock_passwd": True},
        "paths": {"cloud_dir": folder, "run_dir": folder + "/run"},
    },
}
paths = helpers.Paths(shipped["system_info"]["paths"])
paths.seed_dir = folder + "/seed"
distro = distros.fetch("debian")("debian", shipped["system_info"], paths)
source = DataSourceNoCloud.DataSourceNoCloud(shipped, distro, paths)
if not source._get_data():
    sys.exit("cloud-init finds no seed")

parts = []
configs = []
message = user_data.UserDataProcessor(paths).process(source.userdata_raw)
for part in message.walk():
    if part.is_multipart():
        continue
    kind = part.get_content_type()
    content = util.fully_decoded_payload(part)
    content = content.decode() if isinstance(content, bytes) else content
    parts.append({"type": kind, "name": part.get_filename(), "content": content})
    if kind == "text/cloud-config":
        configs.append(util.load_yaml(content, default={}))

merged = util.mergemanydict(list(reversed(configs)) + [shipped])
users, _ = ug_util.normalize_users_groups(merged, distro)
hostname = util.get_hostname_fqdn(merged, source)
print(
    json.dumps(
        {
            "instance": source.get_instance_id(),
            "dsmode": source.dsmode,
            "parts": parts,
            "users": {name: sorted(settings) for name, settings in users.items()},
            "keys": [users[name].get("ssh_authorized_keys", []) for name in users],
            "hostname": hostname[0],
            "runcmd": merged.get("runcmd"),
            "ssh_pwauth": merged.get("ssh_pwauth"),
            "ssh_deletekeys": merged.get("ssh_deletekeys", True),
        }
    )
)
