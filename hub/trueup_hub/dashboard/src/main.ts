import "uplot/dist/uPlot.min.css";
import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { placeHere } from "./lib/router";
import { applyTheme, savedTheme } from "./lib/theme";
import { pageOf } from "./pages";

applyTheme(savedTheme());
const place = placeHere();
if (place) void pageOf(place.page, null); // while the hub is asked what it can do
const target = document.getElementById("page");
if (target) mount(App, { target });
