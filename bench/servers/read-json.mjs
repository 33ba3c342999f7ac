/** The body of a request as JSON, for peers that bring no parser of their own. */
export async function readJson(request) {
  let text = '';
  request.setEncoding('utf8');
  for await (const part of request) text += part;
  return JSON.parse(text);
}
