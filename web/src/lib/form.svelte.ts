import { tick } from "svelte";
import { fieldText } from "./fieldText";
import { ApiError, errorText, isAborted } from "./http";

/**
 * The state of a form while it is sent and after it was refused: the message of each field beside the field, the rest above
 * the form. `labels` are its fields by their names in the request, `codes` what to say of a problem by its code, and
 * `codeFields` the field that the problem is about.
 */
export class FormState {
  busy = $state(false);
  failure = $state("");
  errors = $state.raw<Record<string, string>>({});
  readonly #labels: Record<string, string>;
  readonly #codes: Record<string, string>;
  readonly #codeFields: Record<string, string>;

  constructor(
    labels: Record<string, string>,
    codes: Record<string, string> = {},
    codeFields: Record<string, string> = {},
  ) {
    this.#labels = labels;
    this.#codes = codes;
    this.#codeFields = codeFields;
  }

  /** Does the work of a submitted form, once at a time, and shows why it was refused. */
  async submit(event: SubmitEvent, send: () => Promise<void>): Promise<void> {
    event.preventDefault();
    const element = event.currentTarget;
    if (this.busy) return;
    this.busy = true;
    this.clear();
    try {
      await send();
    } catch (error) {
      if (!isAborted(error)) await this.refuse(error, element);
    } finally {
      this.busy = false;
    }
  }

  clear(): void {
    this.failure = "";
    this.errors = {};
  }

  /** Shows an error, and moves the focus to the first field that has one. */
  async refuse(error: unknown, element?: EventTarget | null): Promise<void> {
    const errors: Record<string, string> = {};
    let isComplete = true;
    if (error instanceof FieldErrors) Object.assign(errors, error.messages);
    if (error instanceof ApiError) {
      const field = this.#codeFields[error.code];
      if (field !== undefined) errors[field] = this.text(error);
      for (const [field, message] of Object.entries(error.fields)) {
        // An item of a list is "field[3]".
        const name = field.replace(/\[.*$/, "");
        const label = this.#labels[name];
        if (label === undefined) isComplete = false;
        else errors[name] ??= fieldText(label, message);
      }
    }
    this.errors = errors;
    if (Object.keys(errors).length === 0 || !isComplete) this.failure = this.text(error);
    await tick();
    if (element instanceof HTMLFormElement) element.querySelector<HTMLElement>("[aria-invalid='true']")?.focus();
  }

  text(error: unknown): string {
    return (error instanceof ApiError && this.#codes[error.code]) || errorText(error);
  }
}

/** Messages for fields that are invalid before they are sent. */
export class FieldErrors extends Error {
  override name = "FieldErrors";
  constructor(readonly messages: Record<string, string>) {
    super("Some fields are invalid.");
  }
}
