// A worker thread of podpath matrix: builds the lab for itself and sends every n-th probe of the plan.

import { parentPort, workerData } from "node:worker_threads";
import { Lab, type LabOptions } from "../lab.js";
import { loadScenario } from "../scenario/load.js";
import { MatrixPlan, type MatrixPort, probe } from "../walk/matrix.js";

/** What a worker is given. */
export interface MatrixJob {
  readonly text: string;
  readonly file: string;
  readonly options: LabOptions;
  readonly ports: readonly MatrixPort[];
  readonly part: number;
  readonly parts: number;
  /** Shared: each worker writes its own probes' bytes. */
  readonly answers: SharedArrayBuffer;
}

const job = workerData as MatrixJob;
const lab = Lab.fromScenario(loadScenario(job.text, job.file), job.options);
probe(lab, new MatrixPlan(lab.scenario, job.ports), job.part, job.parts, new Uint8Array(job.answers));
parentPort?.postMessage("done");
