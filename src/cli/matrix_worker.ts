// A worker thread of podpath matrix: builds the lab and the plan for itself, and sends every n-th probe once it is given
// room for the answers. Whatever is wrong with the scenario is the command's own lab to say.

import { parentPort, workerData } from "node:worker_threads";
import { Lab, type LabOptions } from "../lab.js";
import { loadScenario } from "../scenario/load.js";
import type { AskedPort } from "../walk/matrix_port.js";
import { planMatrix, probe } from "../walk/matrix_probe.js";

/** What a worker is given. */
export interface MatrixJob {
  readonly text: string;
  readonly file: string;
  readonly options: LabOptions;
  readonly ports: readonly AskedPort[];
  readonly part: number;
  readonly parts: number;
}

const job = workerData as MatrixJob;
const lab = Lab.fromScenario(loadScenario(job.text, job.file), job.options);
const plan = planMatrix(lab, job.ports);
// Shared by all, the plan's slots: each thread writes its own probes' bytes.
parentPort!.once("message", (answers: SharedArrayBuffer) => {
  probe(lab, plan, job.part, job.parts, new Uint8Array(answers));
});
