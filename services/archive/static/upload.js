// Sends a recording in pieces (tus 1.0.0), goes on after a broken connection or a reload, and shows how far it is.
// Without JavaScript the form sends the file at once.
const PIECE = 4 * 1024 * 1024; // bytes a request: the progress moves, and little is sent twice
const WAITS = [1, 2, 4, 8, 15]; // seconds before each further attempt; then the last

for (const form of document.querySelectorAll("form[data-upload]")) {
  if (form.dataset.captions) {
    form.querySelector("input[type=file]").multiple = true;
    form.querySelector("[data-with-captions]").hidden = false;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    new Upload(form).run();
  });
}

class Upload {
  constructor(form) {
    this.form = form;
    this.words = form.dataset;
    const chosen = [...form.querySelector("input[type=file]").files];
    this.captions = this.words.captions ? captionsOf(chosen) : null;
    this.file = recordingOf(chosen);
    this.button = form.querySelector("button.primary");
    this.bar = form.querySelector("[data-progress]");
    this.problem = form.querySelector("[data-problem]");
    this.memory = `upload-${this.words.key}`;
  }

  async run() {
    this.button.disabled = true;
    this.problem.hidden = true;
    try {
      if (this.file) {
        const { url, offset } = (await this.resumed()) ?? (await this.created());
        await this.send(url, offset);
        localStorage.removeItem(this.memory);
      }
      if (this.captions) await this.bring(this.captions);
      location.assign(this.words.done);
    } catch (problem) {
      localStorage.removeItem(this.memory);
      this.tell(problem.message);
    } finally {
      this.button.disabled = false;
    }
  }

  // The same file as before, by name, size and time; the name stays in this browser.
  get mark() {
    return `${this.file.name}/${this.file.size}/${this.file.lastModified}`;
  }

  async resumed() {
    const known = JSON.parse(localStorage.getItem(this.memory) ?? "null");
    if (known?.mark !== this.mark) return null;
    const answer = await this.patiently(() => this.ask("HEAD", known.url));
    if (!answer.ok) return null;
    return { url: known.url, offset: Number(answer.headers.get("Upload-Offset")) };
  }

  async created() {
    const answer = await this.patiently(() => this.ask("POST", this.words.upload, { "Upload-Length": this.file.size }));
    if (!answer.ok) throw new Error(await explained(answer, this.words.failed));
    const url = answer.headers.get("Location");
    localStorage.setItem(this.memory, JSON.stringify({ url, mark: this.mark }));
    return { url, offset: 0 };
  }

  async send(url, offset) {
    while (offset < this.file.size) {
      this.show(offset);
      const end = Math.min(offset + PIECE, this.file.size);
      if (end === this.file.size) this.say(this.words.checking);
      const answer = await this.patiently(() =>
        this.ask("PATCH", url, { "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" }, this.file.slice(offset, end)),
      );
      if (!answer.ok && answer.status !== 409) throw new Error(await explained(answer, this.words.failed));
      const next = Number(answer.headers.get("Upload-Offset") ?? NaN);
      if (Number.isNaN(next)) throw new Error(await explained(answer, this.words.failed));
      offset = next;
    }
    this.show(offset);
  }

  async bring(captions) {
    this.say(this.words.checking);
    const headers = { Accept: "application/json" };
    const answer = await this.patiently(() => fetch(this.words.captions, { method: "PUT", headers, body: captions }));
    if (!answer.ok) throw new Error(await explained(answer, this.words.failed));
  }

  ask(method, url, headers = {}, body = undefined) {
    return fetch(url, { method, body, headers: { ...headers, "Tus-Resumable": "1.0.0", Accept: "application/json" } });
  }

  // Tries again while the connection is away, the server is busy, or the session must be renewed.
  async patiently(request) {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await request().catch(() => null);
      if (answer && ![401, 408, 423, 429, 502, 503, 504].includes(answer.status)) return answer;
      if (answer?.status === 401) await fetch(document.body.dataset.renew, { method: "POST" }).catch(() => null);
      if (attempt > 1) this.say(this.words.waiting);
      await new Promise((go) => setTimeout(go, 1000 * WAITS[Math.min(attempt, WAITS.length - 1)]));
    }
  }

  show(offset) {
    const percent = Math.floor((100 * offset) / this.file.size);
    this.bar.querySelector("progress").value = percent;
    this.say(this.words.sending.replace("{percent}", `${percent}%`));
  }

  say(text) {
    this.bar.hidden = false;
    this.bar.querySelector("span").textContent = text;
  }

  tell(text) {
    this.bar.hidden = true;
    this.problem.hidden = false;
    this.problem.querySelector("p").textContent = text;
  }
}

const isCaptions = (file) => /\.(vtt|srt)$/i.test(file.name);

// A meeting provider gives a picture with its sound, the sound alone, a transcript, and captions: the first and the
// third say it all.
function recordingOf(files) {
  const media = files.filter((file) => !isCaptions(file));
  return media.find((file) => file.type.startsWith("video/")) ?? media[0];
}

function captionsOf(files) {
  const captions = files.filter(isCaptions);
  return captions.find((file) => /transcript/i.test(file.name)) ?? captions[0];
}

async function explained(answer, otherwise) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail || problem.title || otherwise;
}
