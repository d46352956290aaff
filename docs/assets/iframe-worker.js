// Search on pages that are opened from files: browsers allow no worker there, so its script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      this.ready = new Promise((resolve) => {
        frame.onload = () => resolve(frame.contentWindow)
      })
      frame.srcdoc = `<script>postMessage = (data) => answer(data)<\/script><script src="${address}"><\/script>`
      document.documentElement.append(frame)
      this.ready.then((inside) => {
        inside.answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      })
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })))
    }
  }
}
