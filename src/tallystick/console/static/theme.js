// Runs before the page is drawn, so that a chosen theme does not flash.
"use strict";
(() => {
  const KEY = "tallystick-theme";
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const theme = localStorage.getItem(KEY);
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  } catch {
    // Without storage the system's theme stays.
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  if (zone && !document.cookie.includes("tallystick_zone=")) {
    document.cookie = `tallystick_zone=${zone}; Path=/console; SameSite=Lax; Max-Age=31536000${secure}`;
  }
})();
