// Gives the report's tables their buttons, and folds the contents away where there is little room.

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
if (matchMedia("(max-width: 70rem)").matches) document.querySelector("#contents details").open = false;
