import type { Job } from "../lib/http";
import { session } from "../lib/session.svelte";

export interface AdminJob {
  job: Job;
  /** The plan or the user that it is for. */
  subject: string;
}

/** The jobs that this admin began, newest first. They stay while other pages are shown. */
class AdminJobs {
  list = $state.raw<AdminJob[]>([]);

  constructor() {
    session.onEnd(() => (this.list = []));
  }

  add(job: Job, subject: string): void {
    this.list = [{ job, subject }, ...this.list];
  }

  /** The latest job for a plan or a user. */
  of(subject: string): AdminJob | undefined {
    return this.list.find((entry) => entry.subject === subject);
  }

  update(job: Job): void {
    this.list = this.list.map((entry) => (entry.job.id === job.id ? { ...entry, job } : entry));
  }
}

export const adminJobs = new AdminJobs();
