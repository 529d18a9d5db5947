import { constants, tmpdir } from 'node:os';

/** glibc's number; Node names only the other flags. */
const RTLD_NODELETE = 0x1000;
const VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const;

/**
 * Loads a shared library for good, with its symbols and its name visible to whoever asks for it later: Dawn opens
 * `libvulkan.so.1` by name and finds the one that is already there, so no `LD_LIBRARY_PATH` and no second process is needed.
 *
 * @param file a path, or a name that the system's loader finds.
 * @returns whether the library is loaded now.
 */
export function holdLibrary(file: string): boolean {
  try {
    process.dlopen({ exports: {} }, file, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
    return true;
  } catch (error) {
    // Node takes every library for an addon and says so after loading it; by then it is where it should be.
    return error instanceof Error && error.message.includes('did not self-register');
  }
}

/** The ICD files that the environment names, or undefined where it names none. */
export function namedDrivers(): readonly string[] | undefined {
  // The loader reads the newer variable alone where both are set.
  const value = VARIABLES.map((name) => process.env[name]).find((paths) => paths !== undefined && paths !== '');
  return value?.split(process.platform === 'win32' ? ';' : ':').filter((path) => path !== '');
}

/**
 * Runs `body` while the Vulkan loader sees one driver alone (or, without `icd`, what it would see anyway), and puts the environment
 * back: programs that are started later must not inherit it. The loader reads the variables when an instance is made, so `body` has
 * to make one.
 *
 * @param icd path of the driver's ICD file.
 */
export async function withDrivers<T>(icd: string | undefined, body: () => Promise<T>): Promise<T> {
  // Mesa complains on standard error where the last of them is not set.
  const changes = { ...(icd === undefined ? {} : { VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd }), XDG_RUNTIME_DIR: runtimeFolder() };
  const before = Object.keys(changes).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, changes);
  try {
    return await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function runtimeFolder(): string {
  return process.env['XDG_RUNTIME_DIR'] || tmpdir();
}
