/**
 * Ceph's object gateway: a monitor, an object store daemon in memory, and the gateway. Needs Debian's `radosgw`, `ceph-mon`,
 * `ceph-osd` and `ceph-common`, and no rights. As a program it prints the options of a store and runs until it is ended.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { run } from "../../crash/survive/workplace.ts";
import { answers, freePorts, Service } from "./service.ts";

const ACCESS = { region: "default", accessKeyId: "CELLARACCESSKEY", secretAccessKey: "cellarsecretkeycellarsecretkey" };

export async function startCeph(): Promise<Service> {
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
  const [port = 0, monitor2 = 0, monitor1 = 0] = freePorts(3);
  const monitors = `[v2:127.0.0.1:${monitor2},v1:127.0.0.1:${monitor1}]`;
  const clusterId = crypto.randomUUID();
  for (const name of ["mon", "osd", "run"]) mkdirSync(workplace.path(name));
  const configPath = workplace.path("ceph.conf");
  writeFileSync(configPath, configOf(workplace.folder, clusterId, monitors, port));
  const config = ["-c", configPath];

  const map = workplace.path("monmap");
  run("monmaptool", "--create", "--fsid", clusterId, "--addv", "a", monitors, map);
  run("ceph-mon", ...config, "-i", "a", "--mkfs", "--monmap", map);
  service.spawn("ceph-mon", "ceph-mon", ...config, "-i", "a", "-f");
  const osdId = crypto.randomUUID();
  await service.until("the monitor", () => succeeds("ceph", ...config, "--connect-timeout", "5", "osd", "new", osdId));
  run("ceph-osd", ...config, "-i", "0", "--mkfs", "--osd-uuid", osdId);
  service.spawn("ceph-osd", "ceph-osd", ...config, "-i", "0", "-f");
  await service.until("the daemon", () => run("ceph", ...config, "osd", "stat").includes("1 up"));
  const user = ["--uid=cellar", "--display-name=cellar", `--access-key=${ACCESS.accessKeyId}`];
  service.spawn("radosgw", "radosgw", ...config, "-n", "client.rgw", "-f");
  const endpoint = `http://127.0.0.1:${port}`;
  // It makes its pools first; the command would make them too.
  await service.until("the gateway", () => answers(endpoint));
  run("radosgw-admin", ...config, "-n", "client.rgw", "user", "create", ...user, `--secret=${ACCESS.secretAccessKey}`);
  await service.ready({ endpoint, ...ACCESS });
}

function succeeds(...command: string[]): boolean {
  return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
}

function configOf(folder: string, clusterId: string, monitors: string, port: number): string {
  return `[global]
fsid = ${clusterId}
mon host = ${monitors}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data = ${folder}/mon
mon data avail warn = 1
mon data avail crit = 0
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = ${folder}/run
admin socket = ${folder}/run/$name.$pid.asok
log file = ${folder}/$name.log
rgw thread pool size = 32
rgw enable usage log = false
rgw gc max objs = 1
rgw num control oids = 1
rgw reshard num logs = 1
rgw data log num shards = 1
rgw usage max shards = 1
rgw lc max objs = 1
rgw md log max shards = 1
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw data = ${folder}
`;
}

if (import.meta.main) {
  const { access, bucket } = await startCeph();
  console.log(JSON.stringify({ target: `s3://${bucket}/`, ...access }));
  setInterval(() => {}, 1 << 30);
}
