// OHIF as Wetread uses it: our DICOMweb with the session's cookie, and nothing from elsewhere.
window.config = {
  name: "wetread",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  showStudyList: false,
  // The frame is narrow: what it is stands on the button above it.
  whiteLabeling: { createLogoComponentFn: (React) => React.createElement("span") },
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  // Our own page says it, always.
  investigationalUseDialog: { option: "never" },
  maxNumberOfWebWorkers: 2,
  defaultDataSourceName: "dicomweb",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "dicomweb",
      configuration: {
        friendlyName: "Wetread",
        name: "wetread",
        qidoRoot: "/dicom-web",
        wadoRoot: "/dicom-web",
        wadoUriRoot: "/wado",
        qidoSupportsIncludeField: true,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
        // Ordinary binary Segmentations, which every PACS takes; OHIF's own choice is a label map.
        segmentation: { store: { defaultMode: "bitmap", transferSyntaxUID: "1.2.840.10008.1.2.1" } },
      },
    },
  ],
};
