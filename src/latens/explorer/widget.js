// In the notebook's own page: the frame with the explorer's page in it, and what goes between that page and the kernel.
//
// The frame is sandboxed without same-origin, so that the explorer's page can't reach the notebook around it.

const FACTS = ["selection", "current", "tagged"]; // traits of the widget, see widget.py

export default {
  render({model, el}) {
    const view = Math.random().toString(36).slice(2); // answers go to all cells that show the widget; each takes its own
    const note = Object.assign(document.createElement("p"), {textContent: "The explorer needs the kernel: run this cell again."});
    const frame = document.createElement("iframe");
    frame.title = "latens explorer";
    frame.setAttribute("sandbox", "allow-scripts allow-forms allow-downloads");
    frame.style.cssText = `display: none; width: 100%; height: ${model.get("height")}px; border: 0`;
    let port = null;
    const tell = (fact) => port?.postMessage({fact, value: model.get(fact)});
    frame.addEventListener("load", () => { // again, where a notebook moves it to another place
      if (!frame.srcdoc) return;
      const channel = new MessageChannel();
      port?.close();
      port = channel.port1;
      port.onmessage = ({data: {fact, value, id, body, ...asked}}) => {
        if (id !== undefined) return model.send({...asked, id, view}, undefined, [body]);
        if (fact === undefined) return FACTS.forEach(tell); // the page is ready for them
        model.set(fact, value);
        model.save_changes();
      };
      frame.contentWindow.postMessage("latens", "*", [channel.port2]); // "*": a sandboxed page has no origin to name
    });
    const answered = (answer, buffers) => {
      if (answer.view !== view) return;
      const {buffer, byteOffset, byteLength} = buffers[0];
      const body = buffer.slice(byteOffset, byteOffset + byteLength);
      if (answer.id !== "page") return port?.postMessage({...answer, body}, [body]);
      frame.srcdoc = new TextDecoder().decode(body);
      frame.style.display = "block";
      note.remove();
    };
    const changed = FACTS.map((fact) => [`change:${fact}`, () => tell(fact)]);
    model.on("msg:custom", answered);
    for (const [name, listener] of changed) model.on(name, listener);
    el.append(note, frame);
    model.send({view, id: "page", path: "page", method: "GET", headers: {}});
    return () => {
      model.off("msg:custom", answered);
      for (const [name, listener] of changed) model.off(name, listener);
    };
  },
};
