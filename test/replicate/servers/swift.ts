/**
 * OpenStack Swift with its S3 interface: a proxy, and an account, a container and an object server over three folders.
 * Needs Debian's `swift-proxy`, `swift-account`, `swift-container` and `swift-object`, a file system with extended
 * attributes, and no rights.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { run } from "../../crash/survive/workplace.ts";
import { freePorts, Service } from "./service.ts";

const ACCESS = { region: "us-east-1", accessKeyId: "test:tester", secretAccessKey: "testing" };
const KINDS = ["account", "container", "object"] as const;
const DISKS = [1, 2, 3] as const;
/** Swift reads /etc/swift/swift.conf; here another file. */
const LAUNCHER = `
import runpy, sys, swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1]
utils.validate_configuration()
program = sys.argv[2]
sys.argv = sys.argv[2:]
runpy.run_path(program, run_name="__main__")
`;

/** Which disk has which part of the names: what swift-ring-builder does, in one process for all. */
const RINGS = `
import sys
from swift.common.ring import RingBuilder
folder, disks = sys.argv[1], int(sys.argv[2])
for argument in sys.argv[3:]:
    kind, port = argument.split(":")
    builder = RingBuilder(4, disks, 0)
    for disk in range(1, disks + 1):
        address = {"ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port)}
        builder.add_dev({"region": 1, "zone": disk, "device": f"d{disk}", "weight": 1, "meta": "", **address})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{kind}.ring.gz")
`;
/** Debian's own, which has the packages. */
const PYTHON = "/usr/bin/python3";

export async function startSwift(): Promise<Service> {
  const service = new Service();
  try {
    await start(service);
    return service;
  } catch (error) {
    service[Symbol.dispose]();
    throw error;
  }
}

async function start(service: Service): Promise<void> {
  const { workplace } = service;
  const { folder } = workplace;
  for (const disk of DISKS) mkdirSync(`${folder}/devices/d${disk}`, { recursive: true });
  writeFileSync(
    `${folder}/swift.conf`,
    "[swift-hash]\nswift_hash_path_suffix = cellar\nswift_hash_path_prefix = cellar\n[storage-policy:0]\nname = default\ndefault = yes\n",
  );
  const common = `swift_dir = ${folder}\nbind_ip = 127.0.0.1\nworkers = 0\nuser = ${userInfo().username}\nlog_address = ${folder}/none\n`;
  const [proxyPort = 0, ...ports] = freePorts(1 + KINDS.length);
  const places = KINDS.map((kind, i) => `${kind}:${ports[i]}`);
  run(PYTHON, "-c", RINGS, folder, String(DISKS.length), ...places);
  for (const [i, kind] of KINDS.entries()) {
    const text = `[DEFAULT]\nbind_port = ${ports[i]}\ndevices = ${folder}/devices\nmount_check = false\nrecon_cache_path = ${folder}\n${common}`;
    startServer(
      service,
      kind,
      `${text}[pipeline:main]\npipeline = ${kind}-server\n[app:${kind}-server]\nuse = egg:swift#${kind}\n`,
    );
  }
  startServer(service, "proxy", proxyConfig(`[DEFAULT]\nbind_port = ${proxyPort}\n${common}`));
  await service.ready({ endpoint: `http://127.0.0.1:${proxyPort}`, ...ACCESS });
}

function startServer(service: Service, kind: string, config: string): void {
  const configPath = service.workplace.path(`${kind}-server.conf`);
  writeFileSync(configPath, config);
  const program = Bun.which(`swift-${kind}-server`) ?? `/usr/bin/swift-${kind}-server`;
  service.spawn(kind, PYTHON, "-c", LAUNCHER, service.workplace.path("swift.conf"), program, configPath);
}

function proxyConfig(start: string): string {
  const filters = ["catch_errors", "copy", "slo", "dlo"].map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n`);
  return `${start}[pipeline:main]
pipeline = catch_errors cache s3api tempauth copy slo dlo versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
${filters.join("")}`;
}
