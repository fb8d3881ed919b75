"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = Object.keys(figures).map((id) => document.getElementById("plot-" + id));
  const NARROW_PX = 760;
  const config = {
    displaylogo: false, displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false,
  };

  // A figure names colours by the page's CSS variables, so that both themes have one source.
  function themed(value, style) {
    if (typeof value === "string") {
      const name = /^var\((--[a-z0-9-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, style)]));
  }

  // Faults keep their numbers and terms their marks; the names are in the hover texts and the tables.
  function abridge(figure) {
    for (const shape of figure.layout.shapes) shape.label.text = shape.label.text.split(" ")[0];
    for (const trace of figure.data) if (trace.text) trace.mode = "markers";
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    for (const place of places) {
      const figure = themed(figures[place.id.slice(5)], style);
      if (place.clientWidth < NARROW_PX) abridge(figure);
      if (place.layout) figure.layout.xaxis.range = place.layout.xaxis.range.slice();
      Plotly.react(place, figure.data, figure.layout, config);
    }
  }

  function zoomTogether() {
    let moving = false;
    for (const place of places) {
      place.on("plotly_relayout", (change) => {
        if (moving || !("xaxis.range[0]" in change || "xaxis.range" in change)) return;
        moving = true;
        const range = place.layout.xaxis.range.slice();
        const others = places.filter((other) => other !== place);
        Promise.all(others.map((other) => Plotly.relayout(other, { "xaxis.range": range }))).finally(() => { moving = false; });
      });
    }
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  async function plots() {
    const packed = document.getElementById("plotly");
    const script = document.createElement("script");
    script.textContent = await unpack(packed.textContent.trim());
    document.head.append(script);
    packed.remove();
    draw();
    zoomTogether();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
      addEventListener(event, () => { document.documentElement.classList.toggle("paper", paper); draw(); });
    }
  }

  const copy = document.getElementById("copy");
  if (navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById("command").textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }

  if (places.length) {
    plots().catch((error) => {
      for (const place of places) place.textContent = "The plots could not be drawn: this browser is too old, or " + error;
    });
  }
})();
