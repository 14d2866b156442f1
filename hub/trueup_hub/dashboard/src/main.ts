import "uplot/dist/uPlot.min.css";
import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { applyTheme, savedTheme } from "./lib/theme";

applyTheme(savedTheme());
const target = document.getElementById("page");
if (target) mount(App, { target });
