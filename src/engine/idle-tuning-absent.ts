/** What `#idle-tuning` is in pages, whose devices are not tuned. */
export class IdleTuning {
  start(): void {}
  stop(): void {}
  end(): void {}
}
