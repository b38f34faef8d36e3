// A worker thread of podpath matrix: builds the lab for itself and sends every n-th probe of the plan.

import { parentPort, workerData } from "node:worker_threads";
import { isPodpathError, type PodpathError } from "../base/errors.js";
import { Lab, type LabOptions } from "../lab.js";
import { loadScenario } from "../scenario/load.js";
import { type AskedPort, MatrixPlan } from "../walk/matrix.js";
import { probe } from "../walk/matrix_probe.js";

/** What a worker sends where its lab cannot be built. */
export type MatrixFailure = Pick<PodpathError, "code" | "message" | "position">;

/** What a worker is given. */
export interface MatrixJob {
  readonly text: string;
  readonly file: string;
  readonly options: LabOptions;
  readonly ports: readonly AskedPort[];
  readonly part: number;
  readonly parts: number;
  /** Shared, the plan's slots: each worker writes its own probes' bytes. */
  readonly answers: SharedArrayBuffer;
}

const job = workerData as MatrixJob;
try {
  const lab = Lab.fromScenario(loadScenario(job.text, job.file), job.options);
  probe(lab, new MatrixPlan(lab.scenario, job.ports), job.part, job.parts, new Uint8Array(job.answers));
} catch (e) {
  // Errors lose their class on the way to another thread.
  if (!isPodpathError(e)) throw e;
  parentPort?.postMessage({ code: e.code, message: e.message, position: e.position });
}
