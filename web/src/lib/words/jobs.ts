const images = (count: string) => (count === "1" ? "1 image" : `${count} images`);

/** Texts of a job's progress. */
export const jobWords = {
  kinds: {
    delete_images: "Deleting images",
    delete_account: "Deleting the account",
    assign_plan: "Adjusting thumbnails",
    change_plan: "Adjusting thumbnails",
  } as Record<string, string>,
  other: "Working",
  queued: "Waiting to start",
  running: (done: string) => `${images(done)} so far`,
  done: (done: string) => `Finished: ${images(done)}`,
  failed: "Failed. The service tries again by itself; if this stays, tell the operator.",
  missing: "There is no such job, or it ended more than 7 days ago.",
};
