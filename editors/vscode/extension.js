/** Starts `mesos-cni lint --lsp` for CNI network configs: all that is found, it finds. */
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

const PATTERNS = ["**/*.conflist", "**/cni/*.conf", "**/cni/net.d/*.conf"];

let client;

exports.activate = async () => {
  const settings = workspace.getConfiguration("mesos-cni");
  const server = {
    command: settings.get("path"),
    args: ["lint", "--lsp", ...settings.get("arguments")],
  };
  client = new LanguageClient("mesos-cni", "CNI network configs", server, {
    documentSelector: PATTERNS.map((pattern) => ({ scheme: "file", pattern })),
  });
  await client.start();
};

exports.deactivate = () => client?.stop();
