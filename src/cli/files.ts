// Files that commands read and write, standard input among them, with errors of one line.

import { fstatSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { PodpathError } from "../base/errors.js";

/** Name of an input in errors; "-" is standard input. */
export function inputName(path: string): string {
  return path === "-" ? "standard input" : path;
}

/** Refuses a folder, which some ways of reading take for an empty file. @throws PodpathError IO */
export function refuseFolder(path: string): void {
  reading(path, () => {
    if ((path === "-" ? fstatSync(0) : statSync(path)).isDirectory()) throw new Error("it is a folder");
  });
}

/** The text of a file, or of standard input. @throws PodpathError IO */
export function readText(path: string): string {
  refuseFolder(path);
  return reading(path, () => readFileSync(path === "-" ? 0 : path, "utf8"));
}

/** Writes a result file. @throws PodpathError IO */
export function writeResult(file: string, content: string | Uint8Array): void {
  try {
    writeFileSync(file, content);
  } catch (e) {
    throw new PodpathError("IO", `cannot write ${file}: ${(e as Error).message}`);
  }
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (e) {
    throw new PodpathError("IO", `cannot read ${inputName(path)}: ${(e as Error).message}`);
  }
}
