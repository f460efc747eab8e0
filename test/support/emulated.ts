/** QEMU, under which test/platforms/arm64.sh runs tests: what it cannot do, and how slow it is. */

/** Whether the tests run under QEMU. */
export const emulated: boolean = process.env["CELLAR_EMULATED"] === "1";

/** Why a test cannot run under QEMU; undefined elsewhere. */
export function emulatedBy(reason: string): string | undefined {
  return emulated ? reason : undefined;
}

/** How long an answer may take before it counts as a hang. QEMU is about 20 times slower than the machine. */
export function patienceMs(milliseconds: number): number {
  return emulated ? 20 * milliseconds : milliseconds;
}
