/** What `#tuning` is in pages, where schedules are the cost model's: nothing is measured, nothing kept. */
export const DeviceTuning = {
  async open(): Promise<undefined> {
    return undefined;
  },
};
