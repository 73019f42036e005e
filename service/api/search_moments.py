"""A search as its watchers see it: its state, its study, its front, its exports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from service.api.search_answers import detail
from service.registry import ExportRow, JobRegistry, SearchRegistry
from service.study_views import Moment, StudyView, StudyViews
from service.study_views.rendering import front_mark


@dataclass(frozen=True, slots=True)
class SearchMoments:
    """Looks at searches.

    Args:
        engine: over the service's database.
        views: of its studies.
        searches: of the same.
        exports: of the same.
    """

    engine: Engine
    views: StudyViews
    searches: SearchRegistry
    exports: JobRegistry[ExportRow]

    async def look(self, name: str) -> Moment:
        """A search as it is now.

        Raises:
            MissingError: there is none of that name.
        """
        view = await self.views.view(name)
        return await self.views.run(partial(self._moment, view))

    def _moment(self, view: StudyView) -> Moment:
        row = self.searches.get(view.name)
        exports = [(str(job.id), job.state, job.stage) for job in self.exports.of_search(view.name)]
        shown = detail(self.engine, row).model_dump_json()
        return Moment(view, shown.encode(), front_mark(view), repr(exports).encode())
