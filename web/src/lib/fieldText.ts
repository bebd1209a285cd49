/** A sentence of a field's message, which follows the field's name: "must be a number" becomes "Code must be a number." */
export function fieldText(label: string, message: string): string {
  const text = /^\p{Lu}/u.test(message) ? message : `${label} ${message}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
